"""Makes and measures the artifact of ``builtin://digits``: what `squeezenet digits train|evaluate` run."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from squeezenet import artifact as artifacts
from squeezenet.artifact import Artifact
from squeezenet.digits import evaluation
from squeezenet.digits.data import LABELS, Subset, load, render, split_seed, to_png
from squeezenet.digits.training import Recipe, Report, train
from squeezenet.engines.torch_engine import TorchEngine
from squeezenet.errors import ConfigError

SAMPLES = "samples"


def train_and_save(folder: Path, seed: int | None, epochs: int | None, report: Report) -> Artifact:
    """Trains, saves as float16, measures what was saved, and adds the metrics and a sample of each class."""
    recipe = Recipe()
    recipe = replace(recipe, seed=recipe.seed if seed is None else seed, epochs=epochs or recipe.epochs)
    started = time.monotonic()
    trained = train(recipe, report)
    report(f"trained in {time.monotonic() - started:.0f} s")
    saved = artifacts.load(artifacts.save(trained, folder, "float16"))
    digits = load(recipe.seed)
    metrics = _metrics(saved, digits.test)
    validation = evaluation.accuracy(saved, TorchEngine(saved), digits.validation)
    finished = replace(
        saved, config=replace(saved.config, metrics={"validation_accuracy": round(validation, 4), **metrics})
    )
    artifacts.save(finished, folder, "float16")
    _save_samples(finished, digits.test, folder / SAMPLES)
    report(f"test accuracy {metrics['test_accuracy']:.4f} on {metrics['test_pictures']} held-out digits")
    return artifacts.load(folder)


def evaluate(model: str, sha256: str | None = None) -> dict[str, Any]:
    """Accuracy and confusion on the test split that the artifact never saw: that of its recipe's seed."""
    artifact = artifacts.load(model, sha256=sha256)
    if artifact.labels != LABELS:
        raise ConfigError(f"{model} does not classify digits: its labels are not 0 to 9.")
    seed = split_seed(artifact.config)
    test = load(seed).test
    found = evaluation.classify_all(artifact, TorchEngine(artifact), test.pictures())
    table = evaluation.confusion(found, test.classes, len(LABELS))
    return {
        "model": model,
        "digest": artifact.digest,
        "split_seed": seed,
        **_metrics(artifact, test),
        "confusion": table.tolist(),
    }


def summary(result: dict[str, Any]) -> str:
    """The evaluation for a person: accuracies and, by class, what was mistaken for what."""
    lines = [
        f"test accuracy {result['test_accuracy']:.2%} on {result['test_pictures']} held-out digits "
        f"({result['test_accuracy_light_on_dark']:.2%} light on dark)"
    ]
    for true, row in enumerate(result["confusion"]):
        wrong = [f"{count} as {found}" for found, count in enumerate(row) if count and found != true]
        lines.append(f"{true}: {row[true]} of {sum(row)} right{': ' + ', '.join(wrong) if wrong else ''}")
    return "\n".join(lines)


def _metrics(artifact: Artifact, test: Subset) -> dict[str, Any]:
    engine = TorchEngine(artifact)
    return {
        "test_accuracy": round(evaluation.accuracy(artifact, engine, test), 4),
        "test_accuracy_light_on_dark": round(
            evaluation.accuracy(artifact, engine, test, light_on_dark=True), 4
        ),
        "test_pictures": len(test),
    }


def _save_samples(artifact: Artifact, test: Subset, folder: Path) -> None:
    """The first test digit of each class that the network gets right."""
    folder.mkdir(exist_ok=True)
    found = evaluation.classify_all(artifact, TorchEngine(artifact), test.pictures())
    for digit in range(len(LABELS)):
        right = [index for index in range(len(test)) if test.classes[index] == found[index] == digit]
        if not right:
            raise ConfigError(f"the network gets no test picture of {digit} right: train for more epochs.")
        (folder / f"{digit}.png").write_bytes(to_png(render(test.cells[right[0]])))
