"""Plays KEDA's operator for one model: an autoscaler of its ScaledObject, and a finalizer on that.

The shapes follow KEDA v2.21 (controllers/keda/hpa.go, scaledobject_finalizer.go).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from integration.apiserver import ControlPlane, eventually
from integration.operator_runner import Model

Json = dict[str, Any]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FINALIZER = "finalizer.keda.sh"


@contextmanager
def installed(plane: ControlPlane) -> Iterator[None]:
    """KEDA's own CRD of the ScaledObject, from the pinned Go module; removed afterwards."""
    from squeeze_cluster.gobuild import module_dir

    folder = module_dir("keda") / "config" / "crd" / "bases"
    plane.install_crds(Path(folder / "keda.sh_scaledobjects.yaml"))
    try:
        yield
    finally:
        kube, path = plane.client(), f"{CRDS}/scaledobjects.keda.sh"
        for found in kube.get("/apis/keda.sh/v1alpha1/scaledobjects")["items"]:
            metadata = found["metadata"]
            kube.patch(
                f"/apis/keda.sh/v1alpha1/namespaces/{metadata['namespace']}/scaledobjects/{metadata['name']}",
                {"metadata": {"finalizers": []}},
            )
        kube.delete(path)
        eventually(lambda: kube.get(path) is None, "the CRD is gone", timeout=60)


class Keda:
    """What KEDA would make of the model's ScaledObject."""

    def __init__(self, model: Model) -> None:
        self._kube, self._name = model.kube, model.name
        self.objects = f"/apis/keda.sh/v1alpha1/namespaces/{model.namespace}/scaledobjects"
        self.object_path = f"{self.objects}/{model.name}"
        self.autoscalers = model.kserve.autoscalers
        self.autoscaler_path = f"{self.autoscalers}/{model.name}"

    def scaled_object(self) -> Json | None:
        """The ScaledObject, where there is one."""
        found: Json | None = self._kube.get(self.object_path)
        return found

    def autoscaler(self) -> Json | None:
        """The autoscaler of the model's name, whoever made it."""
        found: Json | None = self._kube.get(self.autoscaler_path)
        return found

    def made(self) -> Json:
        """The ScaledObject, once the operator has made it."""
        return eventually(self.scaled_object, f"ScaledObject {self._name}")

    def scales(self) -> bool:
        """Whether the autoscaler that is there was made by KEDA."""
        return "ScaledObject" in owners(self.autoscaler())

    def reconcile(self) -> None:
        """What KEDA's operator, and the garbage collector after it, do when they look."""
        found = self.scaled_object()
        if found is None:
            return
        if found["metadata"].get("deletionTimestamp"):
            self._finalizers(found, [])
            if self.scales():
                self._kube.delete(self.autoscaler_path)
            return
        self._finalizers(found, [FINALIZER])
        try:
            if self.autoscaler() is None:
                self._kube.create(self.autoscalers, self._autoscaler_of(found))
            else:
                self._kube.patch(self.autoscaler_path, {"spec": self._autoscaler_of(found)["spec"]})
        except httpx.HTTPStatusError as error:
            # The operator was quicker, and KEDA would look again.
            if error.response.status_code not in (404, 409):
                raise

    def measured(self, active: str = "True", reason: str = "ValidMetricFound", message: str = "") -> None:
        """Writes the autoscaler's status, as kube-controller-manager does, with a condition of long ago."""
        condition = {"type": "ScalingActive", "status": active, "reason": reason, "message": message}
        status = {
            "desiredReplicas": 2,
            "currentReplicas": 2,
            "conditions": [condition | {"lastTransitionTime": "2020-01-01T00:00:00Z"}],
        }
        self._kube.patch(f"{self.autoscaler_path}/status", {"status": status})

    def sees_load(self, active: bool) -> None:
        """Writes the ScaledObject's status, as KEDA does whenever it has asked its triggers."""
        condition = {"type": "Active", "status": str(active), "reason": "r", "message": ""}
        self._kube.patch(f"{self.object_path}/status", {"status": {"conditions": [condition]}})

    def least(self) -> int:
        """How few replicas KEDA may leave."""
        number: int = self.made()["spec"]["minReplicaCount"]
        return number

    def _finalizers(self, found: Json, finalizers: list[str]) -> None:
        if found["metadata"].get("finalizers", []) != finalizers:
            self._kube.patch(self.object_path, {"metadata": {"finalizers": finalizers}})

    def _autoscaler_of(self, found: Json) -> Json:
        spec, config = found["spec"], found["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
        labels = {"scaledobject.keda.sh/name": self._name}
        metrics = [
            {
                "type": "External",
                "external": {
                    "metric": {"name": f"s{number}-{trigger['type']}", "selector": {"matchLabels": labels}},
                    "target": {"type": "Value", "value": _target(trigger["metadata"])},
                },
            }
            for number, trigger in enumerate(spec["triggers"])
        ]
        owner = {key: found[key] for key in ("apiVersion", "kind")} | {"controller": True}
        owner |= {"name": self._name, "uid": found["metadata"]["uid"], "blockOwnerDeletion": True}
        return {
            "metadata": {
                "name": config["name"],
                "labels": found["metadata"]["labels"],
                "ownerReferences": [owner],
            },
            "spec": {
                "scaleTargetRef": spec["scaleTargetRef"],
                "minReplicas": max(1, spec["minReplicaCount"]),
                "maxReplicas": spec["maxReplicaCount"],
                "metrics": metrics,
                "behavior": config["behavior"],
            },
        }


def _target(metadata: Json) -> str:
    """What Prometheus' trigger calls a threshold, and that of an endpoint a target."""
    target: str = metadata.get("threshold") or metadata["targetValue"]
    return target


def owners(found: Json | None) -> list[str]:
    """The kinds that own an object; none where there is no object."""
    references = (found or {"metadata": {}})["metadata"].get("ownerReferences") or []
    return [owner["kind"] for owner in references]


def serving(model: Callable[..., Model], replicas: int = 2, **scaling: object) -> tuple[Model, Keda]:
    """A model that serves with so many replicas, and the KEDA of its cluster."""
    digits = model()
    digits.create(scaling=scaling)
    digits.kserve.deploy()
    digits.kube.patch(digits.kserve.deployment_path, {"spec": {"replicas": replicas}})
    digits.kserve.serve(replicas)
    return digits, Keda(digits)
