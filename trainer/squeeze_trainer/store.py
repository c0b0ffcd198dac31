"""Bytes at a URI: a local path, ``pvc://claim/path``, or whatever fsspec has a filesystem for (s3, gs, http).

A store may be handed to loading processes: each opens its own connections, which do not survive a fork.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import fsspec
from fsspec.core import url_to_fs

from squeeze_trainer.errors import DataError

VOLUMES_VARIABLE = "SQUEEZESERVE_VOLUMES"
VOLUMES = "/mnt/volumes"


class Store:
    """The files below one URI. ``cache``: a folder that keeps a copy of every remote file that was read."""

    def __init__(self, uri: str, cache: Path | None = None) -> None:
        self.uri = uri
        self._target = resolve(uri)
        self._cache = cache
        self._opened: tuple[int, Any, str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def find(self) -> dict[str, int | None]:
        """Every file below the URI, by its path relative to it, with its bytes; folders with None.

        A URI that is itself a file gives that file under its own name.
        """
        filesystem, root = self._open()
        with self._named_errors():
            # A listing from an earlier run in this process may be stale.
            filesystem.invalidate_cache()
            if not filesystem.exists(root):
                raise DataError(f"{self.uri} does not exist: check the path (bucket, key, spelling).")
            entries = filesystem.find(root, withdirs=True, detail=True)
        if set(entries) == {root} and entries[root]["type"] == "file":
            return {"": entries[root]["size"]}
        prefix = root.rstrip("/") + "/"
        return {
            unquote(name.removeprefix(prefix)) if "://" in name else name.removeprefix(prefix): (
                int(entry["size"] or 0) if entry["type"] == "file" else None
            )
            for name, entry in ((name.rstrip("/"), entry) for name, entry in entries.items())
            if name.startswith(prefix)
        }

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes of a file, or a part of them. Raises OSError, as a filesystem does."""
        filesystem, root = self._open()
        full = f"{root.rstrip('/')}/{path}" if path else root
        if not self._is_remote(filesystem):
            with Path(full).open("rb") as file:
                file.seek(offset)
                return file.read(-1 if length is None else length)
        if self._cache is not None:
            with self._copy(filesystem, full).open("rb") as file:
                file.seek(offset)
                return file.read(-1 if length is None else length)
        end = None if length is None else offset + length
        data: bytes = filesystem.cat_file(full, start=offset or None, end=end)
        # A web server may ignore the range and send the whole file.
        return data[offset:end] if end is not None and len(data) > end - offset else data

    @contextmanager
    def file(self, path: str) -> Iterator[IO[bytes]]:
        """A seekable file, for reading a shard's index."""
        filesystem, root = self._open()
        full = f"{root.rstrip('/')}/{path}" if path else root
        if self._is_remote(filesystem) and self._cache is not None:
            with self._copy(filesystem, full).open("rb") as local:
                yield local
        else:
            with filesystem.open(full, "rb") as remote:
                yield remote

    def _copy(self, filesystem: Any, full: str) -> Path:
        """The cached copy; it appears whole or not at all, since several processes fetch at once."""
        if self._cache is None:
            raise ValueError("the store has no cache")
        copy = self._cache / hashlib.sha256(f"{self._target}\0{full}".encode()).hexdigest()
        if not copy.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            partial = copy.with_name(f"{copy.name}.{os.getpid()}.partial")
            filesystem.get_file(full, str(partial))
            partial.replace(copy)
        return copy

    def _open(self) -> tuple[Any, str]:
        if self._opened is None or self._opened[0] != os.getpid():
            with self._named_errors():
                filesystem, root = url_to_fs(self._target, skip_instance_cache=True)
            self._opened = (os.getpid(), filesystem, root)
        return self._opened[1], self._opened[2]

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except ImportError as error:
            raise DataError(f"{self.uri}: {error}: install what the scheme needs.") from error
        # Each filesystem raises classes of its own library for a wrong bucket, credentials or a dead link.
        except Exception as error:
            raise DataError(f"{self.uri} cannot be read: {error or type(error).__name__}") from error

    @staticmethod
    def _is_remote(filesystem: Any) -> bool:
        return not isinstance(filesystem, fsspec.implementations.local.LocalFileSystem)


def resolve(uri: str) -> str:
    """The URI as fsspec takes it. A claim's volume is mounted below $SQUEEZESERVE_VOLUMES, or
    /mnt/volumes.
    """
    parts = urlsplit(uri)
    if parts.scheme == "pvc":
        volumes = os.environ.get(VOLUMES_VARIABLE, VOLUMES)
        return str(Path(volumes) / parts.netloc / parts.path.lstrip("/"))
    if parts.scheme == "gs":
        return uri
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def tar_members(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """The regular files of an uncompressed tar, in its order. Raises tarfile.TarError where it is damaged."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            if member.isfile():
                yield member
