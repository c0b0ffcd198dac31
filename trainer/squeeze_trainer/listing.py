"""A data set's pictures and classes, divided into splits; what is wrong with it is said before anything is
computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from squeezenet import labels as label_files

from squeeze_trainer import shards, splits
from squeeze_trainer.errors import DataError
from squeeze_trainer.layouts import SPLITS, Found, some, tree
from squeeze_trainer.settings import DataSettings
from squeeze_trainer.store import Store


@dataclass(frozen=True)
class Split:
    """Pictures of one split: where their bytes are, and their classes. Arrays [N], which forks share.

    ``paths``: UTF-8, relative to the store; ``offsets``: -1 where a picture is a file of its own.
    """

    paths: NDArray[np.bytes_]
    labels: NDArray[np.int64]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Split:
        """The pictures of some rows, in their order."""
        return Split(self.paths[rows], self.labels[rows], self.offsets[rows], self.sizes[rows])

    def name(self, row: int) -> str:
        """What to call a picture in a message."""
        path = self.paths[row].decode()
        return path if self.offsets[row] < 0 else f"{path}@{self.offsets[row]}"


@dataclass(frozen=True)
class Listing:
    """A data set ready to train on. ``notes``: what a person should know, though nothing stands in the
    way.
    """

    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> Split:
        """One of ``train``, ``validation`` and ``test``."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def fingerprint(self) -> str:
        """``sha256:<64 hex>`` of classes, paths, sizes and labels; equal for equal listings."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for name in SPLITS:
            split = self.split(name)
            for array in (split.labels, split.offsets, split.sizes):
                digest.update(array.astype("<i8").tobytes())
            digest.update(b"\0".join(split.paths.tolist()))
        return f"sha256:{digest.hexdigest()}"


def load(settings: DataSettings) -> Listing:
    """Finds and divides the pictures. Raises DataError, naming folders and files and what to change."""
    return _divide(_find(settings), settings)


def load_all(settings: DataSettings) -> tuple[tuple[str, ...], Split]:
    """Every picture, whatever split it lies in, and the classes. Raises DataError."""
    found = _find(settings)
    rows = [row for name in found.pictures for row in found.pictures[name]]
    if not rows:
        _refuse_nothing(found, settings.uri)
    classes = found.order or tuple(sorted({row[3] for row in rows}))
    split = _split(rows, {name: number for number, name in enumerate(classes)})
    return _labels(classes, found, settings), split


def _find(settings: DataSettings) -> Found:
    store = Store(settings.uri, settings.cache)
    files = store.find()
    if any(path.endswith(".tar") for path in files) or _is_tar(settings.uri, files):
        return shards.find(store, files)
    return tree(store, files)


def _is_tar(uri: str, files: Mapping[str, int | None]) -> bool:
    return set(files) == {""} and uri.endswith(".tar")


def _divide(found: Found, settings: DataSettings) -> Listing:
    classes = _classes(found, settings)
    numbers = {name: number for number, name in enumerate(classes)}
    parts = {name: _split(rows, numbers) for name, rows in found.pictures.items()}
    notes = _notes(found, parts, classes)
    labels = _labels(classes, found, settings)
    validation_share, test_share = settings.fractions
    seed = settings.split_seed
    train = parts["all"] if len(parts.get("all", ())) else parts["train"]
    validation, test = parts["validation"], parts["test"]
    if len(validation) and not len(test):
        half, rest = splits.stratified(validation.labels, [0.5], seed)
        validation, test = validation.take(half), validation.take(rest)
        notes.append("there is no test split: half of the validation pictures were kept for the final test")
    elif len(test) and not len(validation):
        held, rest = splits.stratified(train.labels, [validation_share], seed)
        validation, train = train.take(held), train.take(rest)
    elif not len(validation):
        held, unseen, rest = splits.stratified(train.labels, [validation_share, test_share], seed)
        validation, test, train = train.take(held), train.take(unseen), train.take(rest)
    listing = Listing(labels, train, validation, test, tuple(notes))
    _refuse_too_small(listing, settings.uri)
    return listing


def _classes(found: Found, settings: DataSettings) -> tuple[str, ...]:
    """The classes of training, in the order of their ids; the same whether or not one of them is empty."""
    training = "all" if found.pictures.get("all") or found.folders.get("all") else "train"
    classes = found.order or tuple(sorted(found.folders[training]))
    if not any(found.pictures.values()):
        _refuse_nothing(found, settings.uri)
    if len(classes) < 2:
        raise DataError(
            f"{settings.uri} has {len(classes)} class ({some(classes)}): there must be two or more folders."
        )
    full = {row[3] for row in found.pictures[training]}
    empty = [name for name in classes if name not in full]
    if empty and not settings.allow_empty:
        others = [path for path in found.ignored if any(f"{name}/" in path for name in empty)]
        what = f", only files that are none ({some(others)})" if others else ""
        raise DataError(
            f"{len(empty)} class folder(s) hold no pictures to train on{what}: {some(empty)}. Fill or "
            f"remove them, or keep them as classes that are never seen with --allow-empty."
        )
    for split in ("validation", "test"):
        seen = {row[3] for row in found.pictures[split]} | found.folders[split]
        strange = sorted(seen - set(classes))
        if strange:
            raise DataError(
                f"the {split} split has {len(strange)} class(es) that training has not: {some(strange)}. "
                f"Give every split the same folder names."
            )
    return classes


def _refuse_nothing(found: Found, uri: str) -> NoReturn:
    hint = f" It holds files that are no pictures, such as {some(found.ignored)}." if found.ignored else ""
    raise DataError(
        f"{uri} holds no pictures: it must have a folder for each class, or train/, val/ and test/ with a "
        f"folder for each class.{hint}"
    )


def _split(rows: Sequence[tuple[str, int, int, str]], numbers: Mapping[str, int]) -> Split:
    return Split(
        np.array([row[0].encode() for row in rows], dtype=np.bytes_)
        if rows
        else np.empty(0, dtype=np.dtype("S1")),
        np.array([numbers[row[3]] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.int64),
    )


def _notes(found: Found, parts: Mapping[str, Split], classes: Sequence[str]) -> list[str]:
    notes = []
    if found.ignored:
        notes.append(f"{len(found.ignored)} file(s) are no pictures and are ignored: {some(found.ignored)}")
    for split in ("validation", "test"):
        absent = [classes[number] for number in np.setdiff1d(np.arange(len(classes)), parts[split].labels)]
        if len(parts[split]) and absent:
            notes.append(f"the {split} split has no samples of {len(absent)} class(es): {some(absent)}")
    return notes


def _labels(classes: Sequence[str], found: Found, settings: DataSettings) -> tuple[str, ...]:
    if settings.labels is None:
        return tuple((found.names or {}).get(name, name) for name in classes)
    try:
        given = label_files.parse(settings.labels.read_bytes())
    except OSError as error:
        raise DataError(f"the labels {settings.labels} cannot be read: {error.strerror}.") from error
    label_files.check_count(given, len(classes))
    return given


def _refuse_too_small(listing: Listing, uri: str) -> None:
    for name, remedy in (
        ("train", "add pictures, or hold out less"),
        ("validation", "add a val folder, give each class three pictures, or raise --validation-share"),
    ):
        if not len(listing.split(name)):
            raise DataError(f"{uri} leaves no pictures for the {name} split: {remedy}.")
