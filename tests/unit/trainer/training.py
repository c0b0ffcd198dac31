"""Short real trainings for tests: the built-in digits network, tuned to a few classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from squeeze_trainer import listing
from squeeze_trainer.distributed import Group
from squeeze_trainer.job import Job
from squeeze_trainer.loop import Trainer
from squeeze_trainer.progress import Silent
from squeeze_trainer.settings import DataSettings, Recipe, RunSettings
from squeeze_trainer.state import State
from squeeze_trainer.step import Outcome
from squeeze_trainer.stopping import Stop
from squeeze_trainer.store import Store
from squeezenet import artifact

DIGITS = "builtin://digits"
RECIPE = Recipe(
    mode="finetune",
    architecture="squeezenet1_1",
    input=artifact.load(DIGITS).config.input,
    optimizer="adam",
    learning_rate=5e-4,
    weight_decay=0.0,
    batch=6,
    epochs=4,
    warmup=0,
    attempts=1,
)


class Watched(Silent):
    """A view that does something after an iteration, such as asking to stop."""

    def __init__(self, then: Callable[[int], object] = lambda _: None) -> None:
        self.lines: list[str] = []
        self._then = then

    def line(self, text: str) -> None:
        self.lines.append(text)

    warn = line

    def step(self, state: State, budget: int, outcome: Outcome, rate: float) -> None:  # noqa: ARG002
        self._then(state.iteration)


def settings(
    data: Path, out: Path, initial: str | None = DIGITS, workers: int = 0, **recipe: Any
) -> RunSettings:
    """A run on a tree; ``recipe`` changes RECIPE."""
    return RunSettings(
        recipe=replace(RECIPE, **recipe),
        data=DataSettings(str(data), workers=workers),
        out=out,
        initial=initial,
        device="cpu",
        threads=1,
        checkpoint_seconds=1e9,
    )


def trainer(run: RunSettings, stop: Stop | None = None, view: Watched | None = None) -> Trainer:
    """A trainer in this process alone."""
    job = Job(
        run,
        listing.load(run.data),
        Store(run.data.uri),
        Group(),
        artifact.load(run.initial) if run.initial else None,
    )
    return Trainer(job, stop or Stop(), view or Watched())
