"""Measures a network on a split: every picture once, in whichever process, with serving's own
preprocessing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from squeezenet.config import InputSpec
from torch import nn

from squeeze_trainer.dataset import IGNORED, Batch, Pictures, loader
from squeeze_trainer.distributed import Group
from squeeze_trainer.errors import DataError
from squeeze_trainer.listing import Split
from squeeze_trainer.metrics import Counts, Measures
from squeeze_trainer.network import Normaliser
from squeeze_trainer.sampler import EvaluationKeys
from squeeze_trainer.store import Store

BATCH = 32


@dataclass(frozen=True)
class Evaluation:
    """Counts over all processes, and the (name, cause) of each picture that could not be read."""

    counts: Counts
    damage: tuple[tuple[str, str], ...]

    @property
    def measures(self) -> Measures:
        """The measures of the counts."""
        return Measures.of(self.counts)


@dataclass(frozen=True)
class Evaluator:
    """What is needed to measure networks on one split."""

    split: Split
    store: Store
    spec: InputSpec
    classes: int
    group: Group
    workers: int
    max_corrupt: float

    def run(self, network: nn.Module, between: Callable[[], bool] = lambda: False) -> Evaluation | None:
        """Measures a network, which comes back in evaluation mode; None where the processes agreed to stop.

        ``between``: asked between batches whether to stop; one process that says so stops all.
        Raises DataError where too many pictures cannot be read, or none can.
        """
        keys = EvaluationKeys(len(self.split), BATCH, self.group.rank, self.group.world)
        batches = loader(Pictures(self.split, self.store, self.spec), keys, self.workers, self._on_gpu)
        normaliser, counts, damage = (
            Normaliser(self.spec, self.group.device),
            Counts.none(self.classes),
            list[tuple[str, str]](),
        )
        network.eval()
        for batch in batches:
            counts += self._counts(network, normaliser, batch)
            damage.extend(batch.damage)
            if any(self.group.sum([float(between())])):
                return None
        counts = counts.from_flat(self.group.sum_counts(counts.flat()))
        found = tuple(sorted(set().union(*self.group.gather(damage))))
        check_damage(found, len(self.split), self.max_corrupt)
        if not counts.confusion.sum():
            raise DataError("no picture of the split can be read: look at the files named above.")
        return Evaluation(counts, found)

    @property
    def _on_gpu(self) -> bool:
        return self.group.device.type == "cuda"

    def _counts(self, network: nn.Module, normaliser: Normaliser, batch: Batch) -> Counts:
        with torch.inference_mode():
            logits = network(normaliser(batch.pixels)).float().cpu().numpy()
        labels = batch.labels.numpy()
        there = labels != IGNORED
        return Counts.of(logits[there], np.asarray(labels[there]))


def allowed_damage(pictures: int, share: float) -> int:
    """How many pictures of a split may be unreadable; one always may."""
    return max(1, int(pictures * share))


def check_damage(damage: tuple[tuple[str, str], ...], pictures: int, share: float) -> None:
    """Raises DataError, naming some, where more pictures than allowed cannot be read."""
    allowed = allowed_damage(pictures, share)
    if len(damage) > allowed:
        some = "; ".join(f"{name}: {cause}" for name, cause in damage[:3])
        raise DataError(
            f"{len(damage)} of {pictures} pictures cannot be read, and {allowed} may be ({some}) Repair or "
            f"remove them, or raise --max-corrupt."
        )
