"""Divides pictures by class, reproducibly: the same seed gives the same split on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def stratified(labels: NDArray[np.int64], shares: Sequence[float], seed: int) -> tuple[Indices, ...]:
    """Indices [n] of each part: one a share, in the order given, and last the rest; every index once.

    Each class is divided by itself. It gives at least one picture to every share above zero and keeps at
    least one, or, where it has too few for that, keeps them all. Pictures of one class do not move when
    another changes.
    """
    parts: list[list[Indices]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        shuffled = np.random.default_rng([seed, int(label)]).permutation(own)
        begin = 0
        for part, count in zip(parts, _counts(len(own), shares), strict=False):
            part.append(shuffled[begin : begin + count])
            begin += count
        parts[-1].append(shuffled[begin:])
    return tuple(np.sort(np.concatenate(part)) if part else np.empty(0, np.int64) for part in parts)


def _counts(total: int, shares: Sequence[float]) -> list[int]:
    if total <= sum(share > 0 for share in shares):
        return [0 for _ in shares]
    return [max(1, round(total * share)) if share > 0 else 0 for share in shares]
