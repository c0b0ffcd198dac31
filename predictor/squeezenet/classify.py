"""From logits to an answer: softmax and the most probable classes. Pure arithmetic on NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """One class of an answer; ``probability`` is 0..1."""

    class_id: int
    label: str
    probability: float


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities over the last axis, shape kept; computed in float64 so that they add up to 1."""
    wide = np.asarray(logits, dtype=np.float64)
    exponentials = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def top_k(logits: NDArray[np.float32], labels: Sequence[str], k: int = 5) -> list[Prediction]:
    """The ``k`` most probable classes of one picture's logits [C], best first; ties by lower class id.

    ``k`` above the number of classes gives all of them. Raises ValueError for k below 1, logits of another
    rank than 1, or a number of labels that differs from C.
    """
    if logits.ndim != 1 or len(labels) != logits.shape[0]:
        raise ValueError(f"logits of shape {logits.shape} do not fit {len(labels)} labels")
    if k < 1:
        raise ValueError(f"k is {k}: it must be at least 1")
    probabilities = softmax(logits)
    order = np.argsort(-probabilities, kind="stable")[:k]
    return [Prediction(int(index), labels[int(index)], float(probabilities[index])) for index in order]
