"""What a run is asked to do. Plain values, checked once; no PyTorch here, so that ``--help`` answers at
once.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from squeezenet.config import ARCHITECTURES, InputSpec
from squeezenet.errors import ConfigError

Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "cosine", "step"]
Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda")
Precision = Literal["auto", "float32", "bfloat16"]
OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "adam", "adamw")
SCHEDULES: tuple[Schedule, ...] = ("constant", "cosine", "step")
PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class DataSettings:
    """Where the pictures are and how they are divided.

    ``uri``: a path or an fsspec URI of an ImageFolder tree, or of WebDataset shards. ``fractions``: of
    (validation, test), used where the tree has no folders for them. ``max_corrupt``: the share of a split's
    pictures, 0..1, that may fail to decode (one always may). ``labels``: a file with one label a class.
    """

    uri: str
    fractions: tuple[float, float] = (0.1, 0.1)
    split_seed: int = 0
    allow_empty: bool = False
    max_corrupt: float = 0.01
    labels: Path | None = None
    cache: Path | None = None
    workers: int = 2

    def __post_init__(self) -> None:
        if min(self.fractions) < 0 or sum(self.fractions) >= 1:
            raise ConfigError("the shares of validation and test must be 0 or more and leave some to train.")
        if not 0 <= self.max_corrupt < 1:
            raise ConfigError(f"max-corrupt is {self.max_corrupt}: it is a share, 0 or more and below 1.")
        if self.split_seed < 0:
            raise ConfigError(f"split-seed is {self.split_seed}: it must be 0 or more.")
        if self.workers < 0:
            raise ConfigError(f"workers is {self.workers}: it must be 0 or more.")


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training pictures; ``flip`` is a probability, ``rotation`` in degrees.

    ``area``: the share of the picture that a random crop keeps; ``aspect``: its width to its height.
    """

    area: tuple[float, float] = (0.25, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    rotation: float = 15.0
    flip: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.area[0] <= self.area[1] <= 1 or not 0 < self.aspect[0] <= self.aspect[1]:
            raise ConfigError("a crop keeps between 0 (excluded) and 1 of a picture, smaller bound first.")
        if not 0 <= self.rotation <= 180 or not 0 <= self.flip <= 1:
            raise ConfigError("rotation is 0 to 180 degrees, flip a probability.")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result, besides the data and the versions of the libraries.

    ``batch`` is the global batch, over all processes. The rate rises linearly over ``warmup`` iterations and
    then follows ``schedule`` to the budget's end: ``iterations``, or ``epochs`` where that is given.
    ``frozen``: iterations during which only the classifier learns. ``patience``: validations without
    improvement after which training ends, 0 for never. ``stuck_after``: iterations of guessing after which an
    attempt counts as stuck; ``attempts``: how often training may begin.
    """

    mode: Literal["train", "finetune"]
    architecture: str = "squeezenet1_0"
    input: InputSpec = field(default_factory=InputSpec)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 2e-4
    batch: int = 128
    iterations: int = 1_000_000
    epochs: int | None = None
    schedule: Schedule = "cosine"
    warmup: int = 100
    label_smoothing: float = 0.0
    dropout: float = 0.5
    clip_norm: float = 1.0
    frozen: int = 0
    validate_every: int | None = None
    patience: int = 0
    stuck_after: int = 1000
    attempts: int = 3
    seed: int = 0
    precision: Precision = "auto"
    micro_batch: int = 0

    def __post_init__(self) -> None:
        _check_recipe(self)

    def as_json(self) -> dict[str, Any]:
        """The recipe as JSON values, for config.json and for comparing with a checkpoint's."""
        return asdict(self)


def _check_recipe(recipe: Recipe) -> None:
    if recipe.architecture not in ARCHITECTURES:
        raise ConfigError(
            f"architecture {recipe.architecture!r} is unknown: use {' or '.join(ARCHITECTURES)}."
        )
    at_least_one = {
        "batch": recipe.batch,
        "iterations": recipe.iterations,
        "epochs": 1 if recipe.epochs is None else recipe.epochs,
        "validate-every": 1 if recipe.validate_every is None else recipe.validate_every,
        "stuck-after": recipe.stuck_after,
        "attempts": recipe.attempts,
    }
    not_negative = {
        "seed": recipe.seed,
        "warmup": recipe.warmup,
        "frozen": recipe.frozen,
        "patience": recipe.patience,
        "micro-batch": recipe.micro_batch,
        "weight-decay": recipe.weight_decay,
        "clip-norm": recipe.clip_norm,
    }
    for name, value in at_least_one.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}: it must be at least 1.")
    for name, amount in not_negative.items():
        if not (math.isfinite(amount) and amount >= 0):
            raise ConfigError(f"{name} is {amount}: it must be 0 or more.")
    if not (math.isfinite(recipe.learning_rate) and recipe.learning_rate > 0):
        raise ConfigError(f"the learning rate is {recipe.learning_rate}: it must be above 0.")
    for name, share in (
        ("label-smoothing", recipe.label_smoothing),
        ("dropout", recipe.dropout),
        ("momentum", recipe.momentum),
    ):
        if not 0 <= share < 1:
            raise ConfigError(f"{name} is {share}: it must be 0 or more and below 1.")


@dataclass(frozen=True)
class RunSettings:
    """One run: a recipe on data, and where its results go.

    ``initial``: the weights to begin with, as :func:`squeezenet.artifact.load` takes them; None for random
    ones. ``fresh``: ignore checkpoints in ``out``. ``checkpoint_seconds``: the most work that a kill may
    cost.
    """

    recipe: Recipe
    data: DataSettings
    out: Path
    initial: str | None = None
    sha256: str | None = None
    fresh: bool = False
    device: Device = "auto"
    threads: int | None = None
    log_seconds: float = 10.0
    checkpoint_seconds: float = 300.0


@dataclass(frozen=True)
class TestSettings:
    """A network, and the pictures to measure it on: those of one split, or ``all``."""

    # pytest must not take it for a test.
    __test__ = False

    model: str
    data: DataSettings
    sha256: str | None = None
    split: str = "test"
    device: Device = "auto"
    threads: int | None = None
