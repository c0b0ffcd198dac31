"""What the API server itself refuses of a SqueezeTraining, with the message that a user reads."""

from typing import Any

import pytest
from integration.admission import assert_refused, dry_run
from integration.apiserver import ControlPlane
from integration.training_runner import training

TRAIN: dict[str, Any] = {"mode": "train", "weights": None}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no mode", {"mode": None}, "spec.mode"),
    ("unknown mode", {"mode": "guess"}, '"train", "finetune"'),
    ("no dataset", {"dataset": None}, "spec.dataset"),
    ("no output", {"output": None}, "spec.output"),
    ("initial weights of nothing", {"mode": "train"}, "set spec.mode to finetune"),
    ("nothing to fine-tune", {"weights": None}, "set spec.weights.uri"),
    ("architecture beside weights", {"architecture": "squeezenet1_1"}, "leave out spec.architecture"),
    ("weights at an unknown place", {"weights": {"uri": "ftp://host/w"}}, "spec.weights.uri must start with"),
    ("dataset without a place", {"dataset": {"uri": "s3://"}}, "spec.dataset.uri must start with"),
    ("unknown built-in dataset", {"dataset": {"uri": "builtin://cats"}}, "builtin://digits"),
    ("output in no bucket", {"output": {"uri": "s3://bucket"}}, "spec.output.uri must be s3://"),
    ("output that cannot be written", {"output": {"uri": "https://host/x"}}, "spec.output.uri must be"),
    ("weights with a key", {"weights": {"uri": "s3://me:secret@b/w"}}, "must not hold a user or password"),
    (
        "data with a password",
        {"dataset": {"uri": "https://me:secret@host/d"}},
        "spec.dataset.uri must not hold",
    ),
    ("data with a token", {"dataset": {"uri": "https://host/d?token=1"}}, "must not hold a query"),
    ("output with a key", {"output": {"uri": "s3://me:secret@b/o"}}, "spec.output.uri must not hold a user"),
    ("two budgets", {"budget": {"epochs": 1, "iterations": 1}}, "not both"),
    ("no budget", {"budget": {"epochs": 0}}, "spec.budget.epochs"),
    ("no rate", {"optimizer": {"learningRate": 0}}, "must be above 0"),
    ("unknown optimizer", {"optimizer": {"name": "lion"}}, '"sgd", "adam", "adamw"'),
    ("no workers", {"workers": 0}, "spec.workers"),
    ("two GPUs a worker", {"accelerator": {"gpus": 2}}, "spec.accelerator.gpus"),
    (
        "GPU in resources",
        {"resources": {"limits": {"nvidia.com/gpu": 1}}},
        "ask for GPUs with spec.accelerator",
    ),
    ("no quantity", {"resources": {"limits": {"cpu": "two"}}}, "spec.resources.limits.cpu"),
    ("short digest", {"weights": {"uri": "s3://b/w", "sha256": "abc"}}, "64 lower case hexadecimal"),
    ("share above all", {"dataset": {"uri": "builtin://digits", "testShare": 1.5}}, "spec.dataset.testShare"),
]


@pytest.mark.parametrize(
    ("spec", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_wrong_spec_is_refused_with_a_message(
    control_plane: ControlPlane, spec: dict[str, Any], message: str
) -> None:
    assert_refused(control_plane, training(**spec), message)


@pytest.mark.parametrize(
    ("name", "message"), [("t" * 49, "at most 48 characters"), ("0t", "must start with a lower case letter")]
)
def test_a_wrong_name_is_refused_with_a_message(control_plane: ControlPlane, name: str, message: str) -> None:
    assert_refused(control_plane, training(name), message)


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("from nothing", TRAIN),
    ("an architecture", TRAIN | {"architecture": "squeezenet1_1"}),
    ("a claim", {"dataset": {"uri": "pvc://data/pictures"}, "output": {"uri": "pvc://data/out"}}),
    ("a web server's pictures", {"dataset": {"uri": "http://host/pictures"}}),
    ("whole numbers", {"augmentation": {"flip": 0, "rotation": 180}, "optimizer": {"learningRate": 1}}),
    ("no retries", {"retries": 0}),
]


@pytest.mark.parametrize("spec", [case[1] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_an_edge_of_a_rule_is_accepted(control_plane: ControlPlane, spec: dict[str, Any]) -> None:
    dry_run(control_plane, training(**spec))


def test_the_smallest_training_gets_its_defaults(control_plane: ControlPlane) -> None:
    stored = dry_run(control_plane, training(**TRAIN))
    assert stored["spec"] == {
        "mode": "train",
        "dataset": {"uri": "builtin://digits"},
        "output": {"uri": "s3://models/runs/digits"},
        "workers": 1,
        "retries": 3,
        "suspend": False,
        "accelerator": {"gpus": 0, "resourceName": "nvidia.com/gpu"},
    }
    assert stored["status"] == {"observedGeneration": -1}
