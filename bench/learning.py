"""`make learning`: does every seed learn, from random and from pretrained weights, and is a bad rate noticed?

SqueezeNet easily sits at a loss of ln(classes). So the defaults train on 2, 7 and 100 classes of small real
pictures with seeds 0 to 9, at the default rate and at rates that are too high, until validation is clearly
better than guessing, or until the trainer gives up. Each run adds a line to a file, and runs that stand there
are not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from squeeze_trainer import listing, watch
from squeeze_trainer.distributed import Group
from squeeze_trainer.errors import DivergedError, InterruptedRun, StuckError
from squeeze_trainer.job import Job
from squeeze_trainer.loop import Trainer
from squeeze_trainer.options import FINETUNE
from squeeze_trainer.progress import Silent
from squeeze_trainer.settings import DataSettings, Recipe, RunSettings
from squeeze_trainer.state import State, Validation
from squeeze_trainer.stopping import Stop
from squeeze_trainer.store import Store
from squeezenet import artifact
from squeezenet.config import InputSpec
from squeezenet.digits import data as digits

from bench import processes, tiles
from bench.plan import find_weights

OUT = processes.REPO / "bench" / "out" / "learning.jsonl"
Mode = Literal["train", "finetune"]
MODES: tuple[Mode, ...] = get_args(Mode)
FACTORS = (1, 10, 100, 1000)
# Small, so that a run takes seconds; everything else is the default of the mode.
CHANGED: dict[str, Any] = {
    "input": InputSpec(resize=32, crop=32),
    "batch": 32,
    "validate_every": 10,
    "patience": 0,
    "iterations": 1_000_000,
    "epochs": None,
}
MOST_ITERATIONS = 1200
TRAIN, VALIDATION = 60, 30


@dataclass(frozen=True)
class Case:
    """One run; ``factor`` multiplies the default rate."""

    mode: Mode
    classes: int
    factor: int
    seed: int


@dataclass(frozen=True)
class Found:
    """How a run went. ``iterations``: of the last attempt; ``failures``: why those before it were given up.

    ``end``: "learned", "not yet", or the reason of the error that ended it.
    """

    case: Case
    end: str
    iterations: int
    failures: tuple[str, ...]


class Look(Silent):
    """Asks to stop once validation is clearly better than guessing."""

    def __init__(self, labels: np.ndarray[tuple[int], np.dtype[np.int64]], classes: int) -> None:
        self.stop, self.learned = Stop(), False
        self._pictures, self._most = len(labels), watch.majority(labels)
        self._guessing = watch.guessing_loss(labels, classes)

    def warn(self, text: str) -> None:
        """Nothing: what went wrong is in the run's state."""

    def validated(self, found: Validation, improved: bool, state: State) -> None:  # noqa: ARG002
        """Stops where it learned, or where it takes too long."""
        by_loss = watch.has_learned(0.0, found.loss, self._pictures, self._guessing, self._most)
        by_answers = watch.has_learned(found.top1, np.inf, self._pictures, self._guessing, self._most)
        self.learned = by_loss and by_answers
        if self.learned or found.iteration >= MOST_ITERATIONS:
            self.stop.ask()


def write(root: Path, classes: int) -> Path:
    """Two handwritten digits, tiles of seven photographs, or of ten regions in each of ten photographs."""
    if classes == 100:
        return tiles.write(root, tuple(tiles.PHOTOGRAPHS), regions=(5, 2), grid=5)
    if classes == 7:
        return tiles.write(root, tiles.EIGHT[:7])
    subset = digits.load(0).train
    for number in range(classes):
        cells = subset.cells[subset.classes == number][: TRAIN + VALIDATION]
        for index, cell in enumerate(cells):
            folder = root / ("train" if index < TRAIN else "val") / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            digits.render(cell).save(folder / f"{index}.png")
    return root


def run(case: Case, data: Path, out: Path) -> Found:
    """Trains until it learned, stuck or took too long."""
    changed = {**(FINETUNE if case.mode == "finetune" else {}), **CHANGED}
    rate = case.factor * changed.get("learning_rate", Recipe.learning_rate)
    recipe = Recipe(mode=case.mode, seed=case.seed, **{**changed, "learning_rate": rate})
    initial = find_weights() if case.mode == "finetune" else None
    settings = RunSettings(
        recipe, DataSettings(str(data), workers=0), out, initial, device="cpu", checkpoint_seconds=1e9
    )
    found = listing.load(settings.data)
    start = artifact.load(initial) if initial else None
    job = Job(settings, found, Store(settings.data.uri), Group(), start)
    look = Look(found.validation.labels, job.classes)
    trainer = Trainer(job, look.stop, look)
    try:
        trainer.run()
        end = "not yet"
    except InterruptedRun:
        end = "learned" if look.learned else "not yet"
    except (StuckError, DivergedError) as error:
        end = error.reason
    return Found(case, end, trainer.state.iteration, tuple(trainer.state.failures))


def runs(cases: list[Case], done: set[Case]) -> Iterator[Found]:
    """Those of the cases that are not done yet."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(case for case in cases if case not in done):
            data = Path(folder) / f"data-{case.classes}"
            if not data.exists():
                write(data, case.classes)
            yield run(case, data, Path(folder) / f"out-{number}")


def read(path: Path) -> list[Found]:
    """The runs of a file, which need not exist."""
    lines = path.read_text().splitlines() if path.exists() else []
    values = [json.loads(line) for line in lines]
    return [
        Found(Case(**value["case"]), value["end"], value["iterations"], tuple(value["failures"]))
        for value in values
    ]


def table(found: list[Found]) -> str:
    """Markdown: a row for each mode, number of classes and rate."""
    lines = [
        "| | classes | rate | seeds | learned at once | after another beginning | given up | iterations |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]

    def key(one: Found) -> tuple[str, int, int]:
        return one.case.mode, one.case.classes, one.case.factor

    for mode, classes, factor in sorted({key(one) for one in found}, key=lambda k: (k[0] != "train", *k[1:])):
        own = [one for one in found if key(one) == (mode, classes, factor)]
        learned = [one for one in own if one.end == "learned"]
        again = sum(bool(one.failures) for one in learned)
        given_up = _count(own, lambda one: one.end not in ("learned", "not yet"))
        took = [one.iterations for one in learned]
        span = f"{statistics.median(took):.0f} ({min(took)} to {max(took)})" if took else "–"
        lines.append(
            f"| {mode} | {classes} | × {factor} | {len(own)} | {len(learned) - again} | {again} | {given_up} "
            f"| {span} |"
        )
    return "\n".join(lines)


def _count(found: list[Found], which: Callable[[Found], bool]) -> int:
    return sum(which(one) for one in found)


def main() -> None:
    """Makes the runs that are missing, and prints the table."""
    options = _options()
    os.nice(5)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cases = [
        Case(mode, classes, factor, seed)
        for seed, mode, classes, factor in product(
            options.seeds, options.modes, options.classes, options.factors
        )
    ]
    with options.out.open("a") as file:
        for found in runs(cases, {one.case for one in read(options.out)}):
            print(json.dumps(asdict(found)), file=file, flush=True)
            print(found, flush=True)
    print(table(read(options.out)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--modes", choices=MODES, nargs="+", default=list(MODES))
    parser.add_argument("--classes", type=int, choices=(2, 7, 100), nargs="+", default=[2, 7, 100])
    parser.add_argument("--factors", type=int, nargs="+", default=list(FACTORS), help="of the default rate")
    parser.add_argument("--out", type=Path, default=OUT, help="the file of runs (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
