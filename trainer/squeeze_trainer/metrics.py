"""What a test says: counts of answers, and the measures that follow from them. Pure arithmetic.

Counts add up over batches and processes without rounding, so the measures do not depend on how pictures
were shared out.

Source of the calibration error: Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian
Binning" (AAAI 2015); bins (i/15, (i+1)/15].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from squeezenet.classify import softmax

BINS = 15
_PARTS = 1 << 32
"""Confidences and losses are summed in parts of 2**-32, as whole numbers: their sum has no order."""


@dataclass(frozen=True)
class Counts:
    """``confusion`` [C, C]: rows the true class, columns the answer. ``top5``: true class among the best
    five.

    ``bins`` [3, BINS]: by confidence, pictures, right answers, and the sum of confidences in parts; ``loss``:
    the summed cross-entropy in parts.
    """

    confusion: NDArray[np.int64]
    bins: NDArray[np.int64]
    top5: int = 0
    loss: int = 0

    @classmethod
    def none(cls, classes: int) -> Counts:
        """Nothing counted yet."""
        return cls(np.zeros((classes, classes), np.int64), np.zeros((3, BINS), np.int64))

    @classmethod
    def of(cls, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Counts:
        """Counts of logits [N, C] whose true classes are [N]."""
        count, classes = logits.shape
        if not count:
            return cls.none(classes)
        probabilities = softmax(logits)
        answers = logits.argmax(axis=1)
        confidence = probabilities[np.arange(count), answers]
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion, (labels, answers), 1)
        bins = np.zeros((3, BINS), np.int64)
        where = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        np.add.at(bins[0], where, 1)
        np.add.at(bins[1], where, answers == labels)
        np.add.at(bins[2], where, np.rint(confidence * _PARTS).astype(np.int64))
        true = probabilities[np.arange(count), labels]
        # Ties go to the lower class id, as in squeezenet.classify.
        best = np.argsort(-logits, axis=1, kind="stable")[:, :5]
        losses = -np.log(np.maximum(true, np.finfo(np.float64).tiny))
        return cls(
            confusion,
            bins,
            int((best == labels[:, None]).any(axis=1).sum()),
            int(np.rint(losses * _PARTS).astype(np.int64).sum()),
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.confusion + other.confusion,
            self.bins + other.bins,
            self.top5 + other.top5,
            self.loss + other.loss,
        )

    def flat(self) -> NDArray[np.int64]:
        """All counts in one array, to be summed over processes."""
        return np.concatenate([self.confusion.ravel(), self.bins.ravel(), [self.top5, self.loss]])

    def from_flat(self, flat: NDArray[np.int64]) -> Counts:
        """Counts of this shape from what :meth:`flat` gives."""
        cells = self.confusion.size
        return Counts(
            flat[:cells].reshape(self.confusion.shape),
            flat[cells:-2].reshape(self.bins.shape),
            int(flat[-2]),
            int(flat[-1]),
        )


@dataclass(frozen=True)
class Measures:
    """Shares are 0..1. ``precision`` and ``recall`` have one value a class, None where nothing was there."""

    pictures: int
    top1: float
    top5: float
    loss: float
    ece: float
    precision: tuple[float | None, ...]
    recall: tuple[float | None, ...]
    support: tuple[int, ...]

    @classmethod
    def of(cls, counts: Counts) -> Measures:
        """The measures that follow from counts of at least one picture."""
        table = counts.confusion
        total, right = int(table.sum()), np.diag(table)
        _, correct, confidence = counts.bins
        gaps = np.abs(correct - confidence / _PARTS).sum()
        return cls(
            pictures=total,
            top1=int(right.sum()) / total,
            top5=counts.top5 / total,
            loss=counts.loss / _PARTS / total,
            ece=float(gaps) / total,
            precision=_shares(right, table.sum(axis=0)),
            recall=_shares(right, table.sum(axis=1)),
            support=tuple(int(count) for count in table.sum(axis=1)),
        )

    def as_json(self, labels: Sequence[str]) -> dict[str, Any]:
        """The measures for config.json, rounded to four places."""
        return {
            "pictures": self.pictures,
            "top1": round(self.top1, 4),
            "top5": round(self.top5, 4),
            "loss": round(self.loss, 4),
            "ece": round(self.ece, 4),
            "classes": [
                {
                    "label": label,
                    "precision": _rounded(precision),
                    "recall": _rounded(recall),
                    "pictures": support,
                }
                for label, precision, recall, support in zip(
                    labels, self.precision, self.recall, self.support, strict=True
                )
            ],
        }


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> tuple[float | None, ...]:
    return tuple(int(p) / int(w) if w else None for p, w in zip(part, whole, strict=True))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
