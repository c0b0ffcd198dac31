"""Notices a network that has stopped learning: pure decisions on losses and counts.

*Dead*: the logits of a batch do not depend on the pictures; no gradient can leave that state (SqueezeNet's
last ReLU).
*Stuck*: the loss is that of guessing, which is the entropy of the classes' frequencies: ln(classes) where
all are equally frequent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEAD_AFTER = 20
MARGIN = 0.01
"""A training loss within this share of the loss of guessing is no better than guessing."""
CLEARLY = 0.05
"""A validation, which may be of few pictures, must be this share below the loss of guessing."""


def guessing_loss(labels: NDArray[np.int64], classes: int) -> float:
    """The cross-entropy, in nats, of knowing how frequent each class is and nothing else."""
    counts = np.bincount(labels, minlength=classes)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def majority(labels: NDArray[np.int64]) -> float:
    """The share, 0..1, of the most frequent class: the accuracy of always naming it."""
    return float(np.bincount(labels).max() / len(labels))


@dataclass
class Watch:
    """Takes each iteration's loss and whether the logits told any pictures apart; says what is wrong.

    ``window``: iterations over which the mean loss is compared. The three counters are the watch's memory.
    """

    guessing: float
    window: int
    dead: int = 0
    seen: int = 0
    total: float = 0.0

    def see(self, loss: float, alive: bool) -> str | None:
        """What is wrong, in words, or None."""
        self.dead = 0 if alive else self.dead + 1
        if self.dead >= DEAD_AFTER:
            return (
                f"the network is dead: for {self.dead} iterations its logits have been the same for every "
                f"picture (loss {loss:.4f})"
            )
        self.seen += 1
        self.total += loss
        if self.seen < self.window:
            return None
        mean = self.total / self.seen
        self.seen, self.total = 0, 0.0
        if mean < self.guessing * (1 - MARGIN):
            return None
        return (
            f"the network only guesses: over {self.window} iterations the loss was {mean:.4f} on average, "
            f"and knowing nothing but the classes' frequencies gives {self.guessing:.4f}"
        )


def window(stuck_after: int, budget: int) -> int:
    """Iterations of guessing that are too many: fewer where the whole budget is small."""
    return min(stuck_after, max(50, budget // 4))


def has_learned(top1: float, loss: float, pictures: int, guessing: float, most_frequent: float) -> bool:
    """Whether a validation is better than guessing: by its loss, or by more right answers than chance
    explains.
    """
    if loss < guessing * (1 - CLEARLY):
        return True
    spread = math.sqrt(most_frequent * (1 - most_frequent) / max(1, pictures))
    return top1 > most_frequent + 3 * spread
