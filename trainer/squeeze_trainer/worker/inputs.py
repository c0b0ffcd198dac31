"""Where a worker finds what a training names by URI."""

from __future__ import annotations

from pathlib import Path

from fsspec.core import url_to_fs
from squeezenet.errors import WeightsNotFoundError

from squeeze_trainer.store import resolve

DIGITS = Path("/usr/share/squeezeserve/digits")
"""The pictures of ``builtin://digits`` in the trainer's image, as `squeezenet digits export` writes them."""
_WEIGHTS = Path("/tmp/initial")


class FetchError(WeightsNotFoundError):
    """The initial weights could not be fetched from an object store, which another try may change."""

    exit_code = 1


def data_path(uri: str) -> str | Path:
    """The dataset as the trainer takes it: a path for built-in and mounted ones, the URI for the rest."""
    if uri == "builtin://digits":
        return DIGITS
    return Path(resolve(uri)) if uri.startswith("pvc://") else uri


def local_weights(uri: str) -> str:
    """The initial weights as the network library loads them; those of an object store are fetched first.

    Raises FetchError.
    """
    if uri.startswith("pvc://"):
        return resolve(uri)
    if not uri.startswith("s3://"):
        return uri
    try:
        files, root = url_to_fs(uri)
        files.get(root.rstrip("/") + "/", f"{_WEIGHTS}/", recursive=True)
    # The filesystem raises classes of its own library for a wrong bucket, credentials or a dead link.
    except Exception as error:
        raise FetchError(f"{uri} cannot be fetched: {error or type(error).__name__}.") from error
    return str(_WEIGHTS)
