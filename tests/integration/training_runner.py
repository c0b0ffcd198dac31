"""SqueezeTrainings of a test, seen through the API; the test plays the kubelet."""

import datetime
import json
from typing import Any

from integration.apiserver import Kube, eventually

TRAININGS = "/apis/squeezeserve.io/v1alpha1/namespaces/{}/squeezetrainings"
INDEX = "batch.kubernetes.io/job-completion-index"
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
SPEC: dict[str, Any] = {
    "mode": "finetune",
    "weights": {"uri": "builtin://digits"},
    "dataset": {"uri": "builtin://digits"},
    "output": {"uri": "s3://models/runs/digits"},
}
Json = dict[str, Any]


def training(name: str = "t", **spec: Any) -> Json:
    """A SqueezeTraining on the digits with some fields of its spec replaced; None leaves one out."""
    fields = {key: value for key, value in (SPEC | spec).items() if value is not None}
    return {
        "apiVersion": "squeezeserve.io/v1alpha1",
        "kind": "SqueezeTraining",
        "metadata": {"name": name},
        "spec": fields,
    }


class Training:
    """One SqueezeTraining, its Job and its pods."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self.kube, self.namespace, self.name = kube, namespace, name
        self.path = f"{TRAININGS.format(namespace)}/{name}"
        self.job_path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}-training"
        self.service_path = f"/api/v1/namespaces/{namespace}/services/{name}-training"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    def create(self, **spec: Any) -> Json:
        """Creates it."""
        made: Json = self.kube.create(TRAININGS.format(self.namespace), training(self.name, **spec))
        return made

    def change(self, **spec: Any) -> None:
        """Merges fields into the spec."""
        self.kube.patch(self.path, {"spec": spec})

    def get(self) -> Json:
        """The object as it is."""
        found: Json = self.kube.get(self.path)
        return found

    def job(self) -> Json:
        """The Job, once the operator has made it."""
        found: Json = eventually(lambda: self.kube.get(self.job_path), f"the Job of {self.name}")
        return found

    def condition(self, kind: str) -> Json:
        """A condition, or an empty one."""
        conditions = self.get()["status"].get("conditions", [])
        return next((one for one in conditions if one["type"] == kind), {})

    def wait(self, kind: str, status: str, reason: str, timeout: float = 20) -> Json:
        """The condition once it has this status and reason."""

        def look() -> Json | None:
            seen = self.condition(kind)
            return seen if (seen.get("status"), seen.get("reason")) == (status, reason) else None

        try:
            return eventually(look, f"{kind}={status} {reason}", timeout)
        except AssertionError as late:
            raise AssertionError(f"{late}; status: {json.dumps(self.get()['status'])}") from None

    def pods(self) -> list[Json]:
        """The worker pods that are not over, by worker."""
        selector = f"squeezeserve.io/training={self.name}"
        found = self.kube.get(self._pods, labelSelector=selector)["items"]
        live = [pod for pod in found if pod.get("status", {}).get("phase") in ("Pending", "Running")]
        return sorted(live, key=lambda pod: str(pod["metadata"]["annotations"][INDEX]))

    def started(self, workers: int) -> list[Json]:
        """So many workers that the Job controller has made, told to run."""
        eventually(lambda: len(self.pods()) == workers, f"{workers} workers", timeout=30)
        for pod in self.pods():
            state = {"running": {"startedAt": _now()}}
            self._tell(pod, "Running", {"name": "trainer", "ready": True, "state": state})
        return self.pods()

    def end(self, pod: Json, code: int, message: str = "", reason: str = "") -> None:
        """Ends a worker as the kubelet tells it."""
        ended = {"exitCode": code, "message": message, "reason": reason or ("Error" if code else "Completed")}
        state = {"terminated": ended | {"finishedAt": _now(), "startedAt": _now()}}
        phase = "Failed" if code else "Succeeded"
        self._tell(pod, phase, {"name": "trainer", "ready": False, "state": state})

    def refuse_image(self, pod: Json) -> None:
        """A worker whose image cannot be pulled."""
        waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
        self._tell(pod, "Pending", {"name": "trainer", "ready": False, "state": {"waiting": waiting}})

    def evict(self, pod: Json) -> None:
        """A worker that its node has given up."""
        disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
        status = {
            "phase": "Failed",
            "reason": "Evicted",
            "message": "The node was low on memory.",
            "conditions": [disrupted],
        }
        self.kube.patch(f"{self._pods}/{pod['metadata']['name']}/status", {"status": status})

    def finish(self, top1: float = 0.98) -> None:
        """Trains it well: the leading worker leaves its result."""
        for pod in reversed(self.started(self.get()["spec"]["workers"])):
            if pod["metadata"]["annotations"][INDEX] == "0":
                self.finish_leader(pod, top1)
            else:
                self.end(pod, 0)

    def finish_leader(self, pod: Json, top1: float = 0.98) -> None:
        """Ends the leading worker with its result."""
        self.end(pod, 0, json.dumps(result(self.get(), top1)))

    def _tell(self, pod: Json, phase: str, status: Json) -> None:
        container = {"image": "i", "imageID": "", "restartCount": 0} | status
        body = {"status": {"phase": phase, "containerStatuses": [container]}}
        self.kube.patch(f"{self._pods}/{pod['metadata']['name']}/status", body)


def result(made: Json, top1: float) -> Json:
    """The leading worker's last words."""
    return {
        "artifact": f"{made['spec']['output']['uri']}/model",
        "digest": DIGEST,
        "iterations": 40,
        "validation": {"top1": 0.99, "top5": 1.0, "loss": 0.02},
        "test": {"top1": top1, "top5": 1.0, "loss": 0.05},
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
