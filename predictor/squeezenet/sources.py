"""A weights URI -> the files it names, on this machine.

Only finds (and, for ``torchvision://``, downloads) files; reads none of their content but labels and config.
Remote schemes other than torchvision's (s3, gs, https, hf, pvc) are brought to a local folder by KServe's
storage initializer before this library sees them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from squeezenet.errors import WeightsError, WeightsNotFoundError

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "config.json"
LABELS_NAME = "labels.txt"
GOLDEN_NAME = "golden.safetensors"
INT8_NAME = "int8.safetensors"
SUFFIXES = (".safetensors", ".pth", ".pt")
TORCHVISION_URL = "https://download.pytorch.org/models/"
TORCHVISION_FILES = {
    "squeezenet1_0": "squeezenet1_0-b66bff10.pth",
    "squeezenet1_1": "squeezenet1_1-b8a52dc0.pth",
}
BUILTIN = Path(__file__).parent / "builtin"
_NAMED = 6


@dataclass(frozen=True)
class Source:
    """Files of one artifact; all but the weights are None where the artifact has none.

    ``folder`` is None for a bare file. ``architecture`` is that of torchvision's own files.
    """

    uri: str
    weights: Path
    config: Path | None = None
    labels: Path | None = None
    golden: Path | None = None
    int8: Path | None = None
    folder: Path | None = None
    architecture: str | None = None


def locate(uri: str, cache: Path | None = None) -> Source:
    """Finds the files. Raises WeightsNotFoundError or WeightsError, with the URI in the message."""
    parts = urlsplit(uri)
    if parts.scheme == "builtin":
        return _builtin(uri, parts.netloc + parts.path)
    if parts.scheme == "torchvision":
        return _torchvision(uri, (parts.netloc + parts.path).strip("/"), cache)
    if parts.scheme == "file":
        return _local(uri, Path(unquote(parts.path)))
    if "://" in uri:
        raise WeightsNotFoundError(
            f"{uri}: the scheme {parts.scheme!r} is not read here; use builtin://, torchvision://, file:// "
            "or a path (a SqueezeModel's s3, gs, https, hf and pvc URIs are downloaded before "
            "the server starts)."
        )
    return _local(uri, Path(uri))


def _builtin(uri: str, name: str) -> Source:
    name = name.strip("/")
    known = sorted(f"builtin://{path.parent.name}" for path in BUILTIN.glob(f"*/{WEIGHTS_NAME}"))
    if f"builtin://{name}" not in known:
        raise WeightsNotFoundError(
            f"{uri}: there is no such built-in network; there is {' and '.join(known) or 'none here'}."
        )
    return _folder(uri, BUILTIN / name)


def _local(uri: str, path: Path) -> Source:
    try:
        if path.is_dir():
            return _folder(uri, path)
        if path.is_file():
            return Source(uri, path)
    except (OSError, ValueError) as error:
        raise WeightsNotFoundError(f"{uri} cannot be read: check the path and its permissions.") from error
    raise WeightsNotFoundError(f"{uri} does not exist: check the path (bucket key, sub-path, spelling).")


def _folder(uri: str, folder: Path) -> Source:
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise WeightsNotFoundError(f"{uri} cannot be read: check the folder's permissions.") from error
    return Source(
        uri,
        _choose(uri, entries),
        _optional(entries, CONFIG_NAME),
        _optional(entries, LABELS_NAME),
        _optional(entries, GOLDEN_NAME),
        _optional(entries, INT8_NAME),
        folder,
    )


def _choose(uri: str, entries: list[Path]) -> Path:
    """``model.safetensors`` where there is one, else the only candidate."""
    candidates = [
        path
        for path in entries
        if path.suffix.lower() in SUFFIXES and path.is_file() and path.name not in (GOLDEN_NAME, INT8_NAME)
    ]
    for path in candidates:
        if path.name == WEIGHTS_NAME:
            return path
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise WeightsError(
            f"{uri} holds several weights files ({_names(candidates)}): name one of them in the URI, "
            f"or call the right one {WEIGHTS_NAME}."
        )
    found = _names(entries) or "nothing"
    raise WeightsNotFoundError(
        f"{uri} holds no weights file ({WEIGHTS_NAME}, or one *.safetensors, *.pth or *.pt), but {found}."
    )


def _optional(entries: list[Path], name: str) -> Path | None:
    return next((path for path in entries if path.name == name), None)


def _names(paths: list[Path]) -> str:
    names = [path.name + ("/" if path.is_dir() else "") for path in paths]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _torchvision(uri: str, architecture: str, cache: Path | None) -> Source:
    """PyTorch's ImageNet weights, in PyTorch's own cache, checked by the hash in the file's name."""
    if architecture not in TORCHVISION_FILES:
        known = " and ".join(f"torchvision://{name}" for name in TORCHVISION_FILES)
        raise WeightsNotFoundError(f"{uri}: torchvision has no such SqueezeNet; there is {known}.")
    name = TORCHVISION_FILES[architecture]
    path = (cache or _torch_home() / "hub" / "checkpoints") / name
    if not path.exists():
        _download(uri, TORCHVISION_URL + name, path)
    return Source(uri, path, architecture=architecture)


def _torch_home() -> Path:
    """Where PyTorch keeps its downloads, so that a copy it has made is used (torch.hub.get_dir)."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{caches}/torch").expanduser()


def hash_prefix(path: Path) -> str:
    """The start of the sha256 that PyTorch writes into its file names: ``squeezenet1_0-b66bff10.pth``."""
    return path.stem.rsplit("-", 1)[1]


def _download(uri: str, url: str, path: Path) -> None:
    # Imported only here: it would double the start of a server whose weights are local.
    import httpx

    try:
        answer = httpx.get(url, follow_redirects=True, timeout=60).raise_for_status()
        if not hashlib.sha256(answer.content).hexdigest().startswith(hash_prefix(path)):
            raise WeightsNotFoundError(f"{uri}: what {url} sent is not PyTorch's file: a proxy altered it.")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        partial.write_bytes(answer.content)
        partial.replace(path)
    except (OSError, httpx.HTTPError) as error:
        raise WeightsNotFoundError(
            f"{uri}: {url} cannot be downloaded to {path.parent} ({error}): check the network or proxy and "
            "that the folder is writable, or give a copy of the weights by path, PVC or S3."
        ) from error
