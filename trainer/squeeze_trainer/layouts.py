"""The layouts of data sets that are read as they are:

=============================================  =============================================================
``train/CLASS/…``, ``val/CLASS/…``, ``test/…``  splits by folder (``validation`` and ``valid`` mean ``val``)
``train/CLASS/…``, ``val/CLASS/…``              half of ``val`` chooses the best weights, the other half tests
``train/CLASS/…``                               validation and test are held out by fraction
``CLASS/…``                                     all three are divided by fraction
ImageNet's own                                  ``ILSVRC/Data/CLS-LOC``, with ``LOC_val_solution.csv`` and
                                                ``LOC_synset_mapping.txt``
``*.tar``                                       WebDataset shards (:mod:`squeeze_trainer.shards`)
=============================================  =============================================================
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from squeeze_trainer.errors import DataError
from squeeze_trainer.store import Store

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
SPLITS = ("train", "validation", "test")
_FOLDERS = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "valid": "validation",
    "test": "test",
}
_IMAGENET = "ILSVRC/Data/CLS-LOC/"
_IMAGENET_VAL, _IMAGENET_NAMES = "LOC_val_solution.csv", "LOC_synset_mapping.txt"
_NAMED = 5


@dataclass(frozen=True)
class Found:
    """Pictures by split, each (path, offset, bytes, class name), and the classes that have a folder."""

    pictures: Mapping[str, Sequence[tuple[str, int, int, str]]]
    folders: Mapping[str, frozenset[str]]
    ignored: tuple[str, ...] = ()
    order: tuple[str, ...] | None = None
    names: Mapping[str, str] | None = None


def split_of(path: str) -> str | None:
    """The split that a path's first folder names, or None."""
    return _FOLDERS.get(path.partition("/")[0].lower())


def tree(store: Store, files: Mapping[str, int | None]) -> Found:
    extras = {name: name in files for name in (_IMAGENET_VAL, _IMAGENET_NAMES)}
    base = _IMAGENET if any(path.startswith(f"{_IMAGENET}train/") for path in files) else ""
    files = {path[len(base) :]: size for path, size in files.items() if path.startswith(base)}
    by_split = any(split_of(path) == "train" and "/" in path for path in files)
    flat = _solutions(store.read(_IMAGENET_VAL)) if extras[_IMAGENET_VAL] else {}
    pictures: dict[str, list[tuple[str, int, int, str]]] = {name: [] for name in (*SPLITS, "all")}
    folders: dict[str, set[str]] = {name: set() for name in (*SPLITS, "all")}
    ignored, loose = [], []
    for path, size in sorted(files.items()):
        parts = PurePosixPath(path).parts
        if any(part.startswith(".") or part == "__MACOSX" for part in parts):
            continue
        split = split_of(path) if by_split else "all"
        inner = parts[1:] if by_split else parts
        if split is None or not inner:
            continue
        if size is None:
            folders[split].add(inner[0])
        elif PurePosixPath(path).suffix.lower() not in SUFFIXES:
            ignored.append(base + path)
        elif len(inner) > 1:
            folders[split].add(inner[0])
            pictures[split].append((base + path, -1, size, inner[0]))
        elif split == "validation" and PurePosixPath(path).stem in flat:
            pictures[split].append((base + path, -1, size, flat[PurePosixPath(path).stem]))
        # ImageNet's test pictures have no public labels.
        elif not (base and split == "test"):
            loose.append(base + path)
    _refuse_loose(store.uri, loose, any(pictures.values()))
    names = _synsets(store.read(_IMAGENET_NAMES)) if extras[_IMAGENET_NAMES] else None
    return Found(
        pictures, {name: frozenset(found) for name, found in folders.items()}, tuple(ignored), names=names
    )


def _refuse_loose(uri: str, loose: list[str], any_classes: bool) -> None:
    if loose:
        kind = "beside the class folders" if any_classes else "and no class folders"
        raise DataError(
            f"{uri} holds {len(loose)} picture(s) {kind} ({some(loose)}): put every picture into a folder "
            "that is named as its class."
        )


def _solutions(data: bytes) -> dict[str, str]:
    """ImageNet's ``LOC_val_solution.csv``: picture -> synset."""
    rows = csv.DictReader(io.StringIO(data.decode()))
    return {row["ImageId"]: row["PredictionString"].split()[0] for row in rows}


def _synsets(data: bytes) -> dict[str, str]:
    """ImageNet's ``LOC_synset_mapping.txt``: synset -> its first name."""
    pairs = (line.partition(" ") for line in data.decode().splitlines() if line.strip())
    return {synset: names.split(",")[0].strip() for synset, _, names in pairs}


def some(names: Sequence[str]) -> str:
    """A few of the names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
