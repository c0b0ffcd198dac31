"""Keys for caches: a digest of everything that a cached thing was made from."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def key_of(*parts: str | bytes) -> str:
    """Sixteen hex digits that change when any part does."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def key_of_files(root: Path, files: Iterable[Path]) -> str:
    """Like `key_of`, over the names (below `root`) and contents of files."""
    parts: list[str | bytes] = []
    for file in sorted(files):
        parts += [str(file.relative_to(root)), file.read_bytes()]
    return key_of(*parts)


def source_files(*folders: Path) -> list[Path]:
    """The files below folders that a build may depend on: no caches, no compiled files."""
    found = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in found if "__pycache__" not in file.parts)
