"""Labelled pictures as torchvision's ImageFolder has them: one folder for each class, pictures in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from squeezenet.errors import ConfigError, PictureError
from squeezenet.pictures import DEFAULT_LIMITS

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class LabelledPicture:
    """A picture that can be read, the class that it shows, and its name for messages."""

    name: str
    class_id: int
    read: Callable[[], bytes]


def read(path: Path) -> bytes:
    """A picture's bytes, or enough of them to see that it is too large. Raises PictureError."""
    try:
        with path.open("rb") as file:
            # One byte above the limit is enough.
            return file.read(DEFAULT_LIMITS.max_bytes + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise PictureError("PictureNotFound", f"cannot be read: {why or 'not a file name'}.") from error


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in a folder, by their names' endings, in order. Raises OSError."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)


def load(folder: Path, labels: Sequence[str]) -> list[LabelledPicture]:
    """Every picture below ``folder``, whose folders are named by a label or by a class id.

    Raises ConfigError naming what is not there or does not fit the labels.
    """
    try:
        loose = pictures_in(folder)
        folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        found = [
            LabelledPicture(str(path), class_id(each, labels), partial(read, path))
            for each in folders
            for path in pictures_in(each)
        ]
    except OSError as error:
        raise ConfigError(f"{error.filename or folder} cannot be read: {error.strerror}.") from error
    if loose:
        raise ConfigError(f"{loose[0]} lies in no class: put it into a folder named by its label.")
    if not found:
        raise ConfigError(
            f"{folder} holds no picture: it needs a folder for each label, with pictures in it."
        )
    return found


def class_id(folder: Path, labels: Sequence[str]) -> int:
    """The class that a folder's name means: a label, or else a number. Raises ConfigError."""
    named = [index for index, label in enumerate(labels) if label == folder.name]
    if len(named) == 1:
        return named[0]
    if named:
        ids = ", ".join(map(str, named))
        raise ConfigError(f"{folder}: classes {ids} have this label; name the folder by the class id.")
    if folder.name.isascii() and folder.name.isdigit() and int(folder.name) < len(labels):
        return int(folder.name)
    raise ConfigError(
        f"{folder}: the model has no label {folder.name!r}, and that is no class id up to {len(labels) - 1}."
    )


def evenly(pictures: Sequence[LabelledPicture], seed: int) -> Iterator[LabelledPicture]:
    """All pictures in random order, a picture of every class in turn while there are some."""
    random = np.random.default_rng(seed)
    classes: dict[int, list[LabelledPicture]] = {}
    for index in random.permutation(len(pictures)):
        classes.setdefault(pictures[index].class_id, []).append(pictures[index])
    rounds = zip_longest(*(classes[each] for each in sorted(classes)))
    return (picture for picture in chain.from_iterable(rounds) if picture is not None)
