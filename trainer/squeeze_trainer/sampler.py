"""Which pictures come when: a pure function of (seed, epoch), cut into batches and shared out to
processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

PADDING = -1
"""Stands for no picture, where a process has fewer than the others; it counts nowhere."""


def seed_of(*parts: int) -> int:
    """A 63-bit seed that follows from the parts, and shares nothing with that of any other parts."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """A permutation [count] of the pictures, another one each epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def batches_per_epoch(count: int, batch: int) -> int:
    """The last batch of an epoch may be smaller; no picture is left out."""
    return math.ceil(count / batch)


def share(batch: NDArray[np.int64], rank: int, world: int) -> NDArray[np.int64]:
    """One process's part [ceil(N / world)] of a batch [N], padded so that all have equally many."""
    own = batch[rank::world]
    return np.pad(own, (0, math.ceil(len(batch) / world) - len(own)), constant_values=PADDING)


class TrainingKeys:
    """A process's batches of one epoch, as lists of (epoch, row), beginning with batch ``start``."""

    def __init__(
        self, seed: int, epoch: int, count: int, batch: int, start: int, rank: int, world: int
    ) -> None:
        self._rows = order(seed, epoch, count)
        self._epoch, self._batch, self._start = epoch, batch, start
        self._rank, self._world = rank, world

    def __len__(self) -> int:
        return batches_per_epoch(len(self._rows), self._batch) - self._start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for begin in range(self._start * self._batch, len(self._rows), self._batch):
            rows = share(self._rows[begin : begin + self._batch], self._rank, self._world)
            yield [(self._epoch, int(row)) for row in rows]


class EvaluationKeys:
    """A process's batches of a whole split in order: every picture in exactly one process, once."""

    def __init__(self, count: int, batch: int, rank: int, world: int) -> None:
        self._count, self._batch, self._rank, self._world = count, batch, rank, world

    def __len__(self) -> int:
        return batches_per_epoch(math.ceil(self._count / self._world), self._batch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rows = share(np.arange(self._count), self._rank, self._world)
        for begin in range(0, len(rows), self._batch):
            yield [(0, int(row)) for row in rows[begin : begin + self._batch]]
