"""`make finetuning`: what pretrained weights are worth, on a small set of real pictures.

The same network, data, budget and optimiser twice: from ImageNet's weights and from random ones. Writes a
plot, and prints a table.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from squeeze_trainer import checkpoint, runs
from squeeze_trainer.errors import StuckError
from squeeze_trainer.settings import DataSettings, Recipe, RunSettings
from squeeze_trainer.state import State
from squeezenet import artifact as artifacts
from squeezenet.config import InputSpec

from bench import processes, tiles
from bench.plan import find_weights

OUT = processes.REPO / "bench" / "out"
INPUT = InputSpec(resize=64, crop=64)


@dataclass(frozen=True)
class Result:
    """How a run went; ``top1`` is the test's, None where the network never learned."""

    name: str
    state: State
    top1: float | None


def main() -> None:
    """Trains twice and compares."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        data = tiles.write(Path(folder) / "data")
        results = [
            train("from ImageNet's weights", data, Path(folder) / "pretrained", find_weights(), 1e-4),
            train("from random weights", data, Path(folder) / "random", None, 1e-3),
        ]
    plot(results).savefig(OUT / "finetuning.svg")
    print(table(results))


def train(
    name: str, data: Path, out: Path, initial: str | None, rate: float, iterations: int = 240, every: int = 12
) -> Result:
    """One training of squeezenet1_0 with Adam; the rate is the one that suits the beginning."""
    recipe = Recipe(
        mode="train" if initial is None else "finetune",
        input=INPUT,
        optimizer="adam",
        learning_rate=rate,
        weight_decay=0.0,
        batch=16,
        iterations=iterations,
        warmup=10,
        validate_every=every,
        attempts=1,
    )
    settings = RunSettings(
        recipe, DataSettings(str(data), workers=0), out, initial, device="cpu", threads=1, log_seconds=20.0
    )
    try:
        runs.train(settings)
    except StuckError as error:
        print(error.message, file=sys.stderr)
    content = checkpoint.load_newest(out / "checkpoints", lambda _: None)
    state = State.from_values(content["state"]) if content else State()
    model = out / runs.MODEL
    top1 = artifacts.load(model).config.metrics["test"]["top1"] if model.exists() else None
    return Result(name, state, top1)


def plot(results: list[Result]) -> Figure:
    """Validation over the iterations."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for result in results:
        found = result.state.validations
        axes.plot([v.iteration for v in found], [100 * v.top1 for v in found], "o-", ms=3, label=result.name)
    axes.set(xlabel="iteration of 16 pictures", ylabel="validation top-1, %", ylim=(0, 102))
    axes.legend(frameon=False)
    return figure


def table(results: list[Result]) -> str:
    """Markdown: the test's accuracy, and how soon validation was good."""
    lines = [
        "| weights | test top-1 | best validation | iterations to 80 % validation |",
        "| --- | --- | --- | --- |",
    ]
    for result in results:
        best = result.state.best
        soon = next((v.iteration for v in result.state.validations if v.top1 >= 0.8), None)
        test = "never learned" if result.top1 is None else f"{result.top1:.1%}"
        shown = "–" if best is None else f"{best.top1:.1%}"
        lines.append(f"| {result.name} | {test} | {shown} | {soon or '–'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
