"""What an artifact says of its training, in the provenance and metrics of its config.json."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import torchvision
from squeezenet.artifact import Artifact
from squeezenet.config import ArtifactConfig

from squeeze_trainer.evaluate import Evaluation
from squeeze_trainer.job import Job
from squeeze_trainer.layouts import SPLITS
from squeeze_trainer.loop import Weights
from squeeze_trainer.state import State
from squeeze_trainer.step import precision

_NAMED = 20


def artifact(job: Job, state: State, weights: Weights) -> Artifact:
    """The best weights with their provenance; its digest belongs to a file, which there is none yet."""
    recipe = job.recipe
    arrays = {name: tensor.numpy() for name, tensor in weights.items()}
    config = ArtifactConfig(recipe.architecture, job.classes, recipe.input, provenance(job, state))
    return Artifact(config, job.listing.classes, arrays, digest="")


def provenance(job: Job, state: State) -> dict[str, Any]:
    """Where the weights come from: JSON values."""
    recipe = job.recipe.as_json()
    recipe.pop("input")
    best = state.best
    return {
        "trained_by": f"squeezenet {job.recipe.mode}",
        "initial": _initial(job),
        "data": {
            "uri": job.settings.data.uri,
            "fingerprint": job.listing.fingerprint(),
            "pictures": {name: len(job.listing.split(name)) for name in SPLITS},
            "damaged": len(state.damaged),
            "damaged_pictures": sorted(state.damaged)[:_NAMED],
        },
        "recipe": recipe,
        "iterations": state.iteration,
        "best_iteration": best.iteration if best else None,
        "attempts": state.attempt + 1,
        "failed_attempts": list(state.failures),
        "processes": job.group.world,
        "device": job.group.device.type,
        "precision": precision(job.recipe, job.group.device),
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
    }


def _initial(job: Job) -> dict[str, Any]:
    if job.initial is None:
        return {"weights": "random"}
    return {"weights": job.settings.initial, "digest": job.initial.digest, "classifier_kept": job.keep_head}


def with_metrics(made: Artifact, job: Job, state: State, evaluation: Evaluation | None) -> Artifact:
    """The artifact with what validation and test measured."""
    metrics: dict[str, Any] = {}
    if state.best is not None:
        metrics["validation"] = {
            name: round(value, 4) for name, value in asdict(state.best).items() if name != "iteration"
        }
    if evaluation is not None:
        metrics["test"] = evaluation.measures.as_json(job.listing.classes)
    return replace(made, config=replace(made.config, metrics=metrics))


def closing(evaluation: Evaluation | None, target: Path, page: Path) -> str:
    """The run's result in one line."""
    found = ""
    if evaluation is not None:
        measures = evaluation.measures
        found = f"test top-1 {measures.top1:.2%}, top-5 {measures.top5:.2%} on {measures.pictures} pictures; "
    return f"{found}artifact {target}, report {page}"
