"""SqueezeTrainings on the cluster as a user handles them: the sample, and what becomes of it."""

import copy
import json
from typing import Any

import yaml
from e2e.models import Namespace, wait_for
from squeeze_cluster import kubectl, paths
from squeeze_cluster.kubectl import Object

SAMPLE = paths.REPO / "manifests" / "samples" / "finetune-digits.yaml"
SECONDS = 300


def sample(namespace: Namespace) -> tuple[Object, Object]:
    """The sample's training and model, in the test's namespace."""
    first, second = yaml.safe_load_all(SAMPLE.read_text())
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

    def nodes(self, workers: int) -> set[str]:
        """Where its workers run, once so many do."""
        wait_for(lambda: len(self.workers()) == workers, 120, lambda: json.dumps(self.status(), indent=1))
        return {str(pod["spec"]["nodeName"]) for pod in self.workers()}

    def lose_a_worker(self) -> None:
        """Deletes one in the midst of the training."""
        self.wait("Training")
        name = self.workers()[-1]["metadata"]["name"]
        kubectl.kubectl("delete", "pod", name, "-n", self._namespace, "--wait=false")
