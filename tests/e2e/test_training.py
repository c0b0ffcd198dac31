"""From `kubectl apply` of a training to a served digit that it never saw, and what the gate keeps out."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.models import Namespace, wait_for
from e2e.storage import ObjectStore
from squeeze_cluster import kubectl, paths, training
from squeeze_cluster.kubectl import Object
from squeeze_cluster.settings import Settings
from squeezenet.digits.data import load

SAMPLE = paths.REPO / "manifests" / "samples" / "finetune-digits.yaml"
SECONDS = 300


@pytest.fixture(scope="session")
def trainer_image(settings: Settings) -> str:
    """The trainer's image on the registry."""
    return training.push_image(settings)


@pytest.fixture
def store(namespace: Namespace, trainer_image: str) -> ObjectStore:
    """The object store that the sample names, in the test's namespace."""
    assert trainer_image
    made = ObjectStore(namespace.name)
    made.install(namespace.settings)
    return made


def sample(namespace: Namespace) -> tuple[Object, Object]:
    """The sample's training and model, in the test's namespace."""
    first, second = yaml.safe_load_all(Path(SAMPLE).read_text())
    for one in (first, second):
        one["metadata"]["namespace"] = namespace.name
    return first, second


def other(trained: Object, name: str, **spec: Any) -> Object:
    """Another training with an output of its own and some fields replaced; None leaves one out."""
    made = copy.deepcopy(trained)
    made["metadata"]["name"] = name
    made["spec"]["output"]["uri"] = f"s3://models/{name}"
    made["spec"] = {key: value for key, value in (made["spec"] | spec).items() if value is not None}
    return made


class Training:
    """A SqueezeTraining on the cluster."""

    def __init__(self, namespace: Namespace, name: str) -> None:
        self._namespace, self._name = namespace.name, name

    def status(self) -> dict[str, Any]:
        found = kubectl.get("squeezetraining", self._name, self._namespace).get("status", {})
        return dict(found)

    def reason(self) -> str:
        conditions = self.status().get("conditions", [])
        return next((str(one["reason"]) for one in conditions if one["type"] == "Ready"), "")

    def wait(self, reason: str) -> None:
        wait_for(lambda: self.reason() == reason, SECONDS, lambda: json.dumps(self.status(), indent=1))

    def workers(self) -> list[Object]:
        """Its pods that run."""
        found = kubectl.items("pods", "-n", self._namespace, "-l", f"squeezeserve.io/training={self._name}")
        return [pod for pod in found if pod["status"]["phase"] == "Running"]

    def lose_a_worker(self) -> None:
        """Deletes one in the midst of the training."""
        self.wait("Training")
        name = self.workers()[-1]["metadata"]["name"]
        kubectl.kubectl("delete", "pod", name, "-n", self._namespace, "--wait=false")


@pytest.mark.timeout(3 * SECONDS)
@pytest.mark.usefixtures("store")
def test_a_training_loses_a_worker_and_is_tested_gated_and_served(namespace: Namespace) -> None:
    tuned, served = sample(namespace)
    worse = other(
        tuned,
        "worse",
        mode="train",
        weights=None,
        architecture="squeezenet1_1",
        input={"resize": 40, "crop": 40},
        optimizer={"name": "adam", "learningRate": 0.0004, "batch": 16},
        budget={"iterations": 120},
        workers=1,
    )
    kubectl.apply([tuned, served, other(tuned, "undisturbed"), worse])
    first = Training(namespace, "finetune-digits")
    wait_for(lambda: len(first.workers()) == 2, 120, lambda: json.dumps(first.status(), indent=1))
    assert len({pod["spec"]["nodeName"] for pod in first.workers()}) == 2
    first.lose_a_worker()

    for name in ("finetune-digits", "undisturbed", "worse"):
        Training(namespace, name).wait("Trained")
    artifact = first.status()["artifact"]
    assert artifact["test"]["top1"] >= 0.97
    assert artifact["digest"] == Training(namespace, "undisturbed").status()["artifact"]["digest"]

    namespace.wait_ready("finetuned")
    assert namespace.model("finetuned")["status"]["weights"]["digest"] == artifact["digest"]
    unseen = load(0).test
    pictures = unseen.pictures()
    namespace.ask_soon("finetuned", pictures[0])
    answers = [namespace.ask("finetuned", picture)["label"] for picture in pictures[:20]]
    assert sum(answer == str(digit) for answer, digit in zip(answers, unseen.classes, strict=False)) >= 19

    served["spec"]["weights"]["trainingRef"]["name"] = "worse"
    kubectl.apply([served])
    message = namespace.wait_condition("finetuned", "Stalled", "True", "GateNotPassed")
    assert "below spec.gate.minTop1 (0.9700)" in message
    assert namespace.condition("finetuned", "Serving")["status"] == "True"
    assert namespace.ask("finetuned", pictures[0])["label"] == answers[0]
    assert namespace.model("finetuned")["status"]["weights"]["digest"] == artifact["digest"]
