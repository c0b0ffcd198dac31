"""Accuracy of an artifact on digit pictures, measured as serving works: PNG bytes, preprocessing, engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from squeezenet.artifact import Artifact
from squeezenet.digits.data import Subset
from squeezenet.engines.base import Engine
from squeezenet.preprocess import decode, to_pixels

_BATCH = 64


def classify_all(artifact: Artifact, engine: Engine, pictures: list[bytes]) -> NDArray[np.int64]:
    """The most probable class of each picture, [N]."""
    found = []
    for start in range(0, len(pictures), _BATCH):
        batch = [to_pixels(decode(data), artifact.config.input) for data in pictures[start : start + _BATCH]]
        found.append(engine.classify_pixels(np.stack(batch)).argmax(axis=1))
    return np.concatenate(found).astype(np.int64)


def accuracy(artifact: Artifact, engine: Engine, subset: Subset, *, light_on_dark: bool = False) -> float:
    """The share, 0..1, of the subset's pictures that are classified correctly."""
    found = classify_all(artifact, engine, subset.pictures(light_on_dark=light_on_dark))
    return float((found == subset.classes).mean())


def confusion(found: NDArray[np.int64], true: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts [classes, classes]: rows the true class, columns the class found."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (true, found), 1)
    return table
