"""A run's fixed facts, and the numbers that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from squeezenet.artifact import Artifact

from squeeze_trainer import watch
from squeeze_trainer.distributed import Group
from squeeze_trainer.evaluate import Evaluator
from squeeze_trainer.listing import Listing
from squeeze_trainer.sampler import batches_per_epoch
from squeeze_trainer.settings import Recipe, RunSettings
from squeeze_trainer.store import Store

_CURVE_POINTS = 2000


@dataclass(frozen=True)
class Job:
    """What one training works on. ``keep_head``: the initial weights' classifier knows just these classes."""

    settings: RunSettings
    listing: Listing
    store: Store
    group: Group
    initial: Artifact | None = None

    @property
    def recipe(self) -> Recipe:
        return self.settings.recipe

    @property
    def classes(self) -> int:
        return len(self.listing.classes)

    @property
    def per_epoch(self) -> int:
        """Iterations of an epoch."""
        return batches_per_epoch(len(self.listing.train), self.recipe.batch)

    @property
    def budget(self) -> int:
        """Iterations of the whole training."""
        epochs = self.recipe.epochs
        return self.recipe.iterations if epochs is None else epochs * self.per_epoch

    @property
    def validate_every(self) -> int:
        """Iterations between two validations."""
        return self.recipe.validate_every or self.per_epoch

    @property
    def point_every(self) -> int:
        """Iterations that one point of the curve sums up."""
        return max(1, self.budget // _CURVE_POINTS)

    @property
    def keep_head(self) -> bool:
        """Whether the initial classifier stays: its labels are the data's, in the same order."""
        return self.initial is not None and self.initial.labels == self.listing.classes

    @property
    def guessing(self) -> float:
        """The loss of guessing, in nats."""
        return watch.guessing_loss(self.listing.train.labels, self.classes)

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.settings.out / "checkpoints"

    def evaluator(self, split: str) -> Evaluator:
        """What measures a network on a split."""
        data = self.settings.data
        return Evaluator(
            self.listing.split(split),
            self.store,
            self.recipe.input,
            self.classes,
            self.group,
            data.workers,
            data.max_corrupt,
        )

    def identity(self) -> dict[str, object]:
        """What must be equal for a checkpoint to be gone on with."""
        return {
            "recipe": self.recipe.as_json(),
            "data": self.listing.fingerprint(),
            "initial": self.initial.digest if self.initial else "random",
        }
