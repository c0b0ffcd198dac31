"""Small data sets for the trainer's tests: real handwritten digits as pictures, in folders or in shards."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from squeezenet.digits.data import load, render, to_png

COUNTS = {"train": 8, "val": 4, "test": 4}


@cache
def digit(number: int, index: int) -> bytes:
    """The PNG of a handwritten digit; another one for each index."""
    train = load(0).train
    return to_png(render(train.cells[np.flatnonzero(train.classes == number)[index]]))


def tree(root: Path, classes: int = 2, counts: dict[str, int] | None = None) -> Path:
    """``root/SPLIT/DIGIT/*.png``; no picture twice."""
    begin = 0
    for split, count in (counts or COUNTS).items():
        for number in range(classes):
            folder(root / split / str(number), number, begin, count)
        begin += count
    return root


def folder(path: Path, number: int, begin: int, count: int) -> None:
    """A class folder with so many pictures of a digit."""
    path.mkdir(parents=True, exist_ok=True)
    for index in range(begin, begin + count):
        (path / f"{index:03}.png").write_bytes(digit(number, index))
