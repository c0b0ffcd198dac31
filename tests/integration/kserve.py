"""Plays KServe's controller, the Deployment controller and the kubelet for one model, as a test says.

The shapes follow KServe v0.20 in Standard mode (pkg/controller/v1beta1/inferenceservice).
"""

import copy
from pathlib import Path
from typing import Any

from integration.apiserver import Kube, eventually
from kserve_webhook import inject

Json = dict[str, Any]
CLASS = "serving.kserve.io/autoscalerClass"


def kserve_crd() -> Path:
    """KServe's own CRD file of the InferenceService, from the pinned Go module."""
    from squeeze_cluster.gobuild import module_dir

    folder = module_dir("kserve") / "charts" / "kserve-crd" / "templates"
    return folder / "serving.kserve.io_inferenceservices.yaml"


class KServe:
    """What KServe would make for the model's InferenceService."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self.kube, self.namespace, self.name = kube, namespace, name
        services = f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices"
        self.service_path = f"{services}/{name}"
        self.deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self.deployment_path = f"{self.deployments}/{name}-predictor"
        self.pods = f"/api/v1/namespaces/{namespace}/pods"
        self.autoscalers = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"

    def service(self) -> Json:
        """The InferenceService, once the operator has made it."""
        found: Json = eventually(lambda: self.kube.get(self.service_path), f"InferenceService {self.name}")
        return found

    def deploy(self) -> Json:
        """Makes the Deployment of the present InferenceService, or brings it up to date."""
        body = deployment(self.service())
        live = self.kube.get(self.deployment_path)
        if live is None:
            created: Json = self.kube.create(self.deployments, body)
            return created
        live["metadata"]["annotations"] = body["metadata"]["annotations"]
        # All but the number of replicas, which KServe leaves to whoever scales.
        live["spec"] |= body["spec"]
        replaced: Json = self.kube.http.put(self.deployment_path, json=live).raise_for_status().json()
        return replaced

    def autoscale(self) -> None:
        """Makes or removes KServe's own autoscaler, as the class of the InferenceService says."""
        service = self.service()
        if service["metadata"]["annotations"][CLASS] != "hpa":
            self.kube.delete(f"{self.autoscalers}/{self.name}-predictor")
            return
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{self.name}-predictor"}
        metadata = {
            "name": f"{self.name}-predictor",
            "labels": labels(service),
            "ownerReferences": [_owner(service)],
        }
        spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 5}
        self.kube.create(self.autoscalers, {"metadata": metadata, "spec": spec})

    def report(self, replicas: int, ready: int, updated: int, conditions: list[Json] | None = None) -> None:
        """Writes the Deployment's status."""
        generation = self.kube.get(self.deployment_path)["metadata"]["generation"]
        status = deployment_status(generation, replicas, ready, updated)
        self.kube.patch(
            f"{self.deployment_path}/status", {"status": status | {"conditions": conditions or []}}
        )

    def route(self, ready: bool = True) -> None:
        """Writes the InferenceService's status, with or without a route."""
        self.kube.patch(
            f"{self.service_path}/status", {"status": service_status(self.namespace, self.name, ready)}
        )

    def lack(self) -> None:
        """Writes what KServe says while a replica of several does not answer: only the route is sure."""
        status = service_status(self.namespace, self.name)
        states = {"PredictorReady": "Unknown", "IngressReady": "True", "Ready": "Unknown"}
        conditions = [{"type": kind, "status": state} for kind, state in states.items()]
        self.kube.patch(f"{self.service_path}/status", {"status": status | {"conditions": conditions}})

    def serve(self, replicas: int = 1) -> None:
        """Everything went well: all replicas of the present spec answer and are routed."""
        self.deploy()
        self.report(replicas, replicas, replicas)
        self.route()

    def pod(self, suffix: str, **status: Any) -> None:
        """A pod of the present Deployment with this status."""
        template = copy.deepcopy(self.kube.get(self.deployment_path)["spec"]["template"])
        metadata = template["metadata"] | {"name": f"{self.name}-predictor-{suffix}"}
        self.kube.create(self.pods, {"metadata": metadata, "spec": inject(template["spec"])})
        self.kube.patch(f"{self.pods}/{metadata['name']}/status", {"status": status})


def deployment(service: Json) -> Json:
    """The Deployment that KServe makes of an InferenceService."""
    name, annotations = service["metadata"]["name"], service["metadata"]["annotations"]
    # KServe puts labels and annotations of the InferenceService on the Deployment and on its pods.
    carried = {"labels": labels(service), "annotations": annotations}
    body: Json = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": carried | {"name": f"{name}-predictor", "ownerReferences": [_owner(service)]},
        "spec": {
            "selector": {"matchLabels": {"app": f"isvc.{name}-predictor"}},
            "strategy": service["spec"]["predictor"]["deploymentStrategy"],
            "template": {"metadata": carried, "spec": _pod_spec(service)},
        },
    }
    if annotations[CLASS] == "none":
        body["spec"]["replicas"] = service["spec"]["predictor"]["minReplicas"]
    return body


def deployment_status(generation: int, replicas: int, ready: int, updated: int) -> Json:
    """The status of a Deployment whose controller has seen this generation."""
    return {
        "observedGeneration": generation,
        "replicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "updatedReplicas": updated,
    }


def service_status(namespace: str, name: str, ready: bool = True) -> Json:
    """The status of an InferenceService, with or without a route."""
    state = "True" if ready else "False"
    conditions = [
        {"type": "PredictorReady", "status": "True"},
        {"type": "IngressReady", "status": state, "message": "" if ready else "no gateway"},
        {"type": "Ready", "status": state},
    ]
    address = {"url": f"http://{name}-predictor.{namespace}.svc.cluster.local"}
    return {"conditions": conditions, "url": f"http://{name}-{namespace}.localhost", "address": address}


def labels(service: Json) -> Json:
    """The labels that KServe gives to all that it makes of an InferenceService."""
    name = service["metadata"]["name"]
    own = {"app": f"isvc.{name}-predictor", "serving.kserve.io/inferenceservice": name}
    given: Json = service["metadata"]["labels"]
    return given | own


def _pod_spec(service: Json) -> Json:
    pod: Json = copy.deepcopy(service["spec"]["predictor"])
    for field in ("minReplicas", "maxReplicas", "deploymentStrategy"):
        pod.pop(field, None)
    pod["containers"][0]["env"].append(
        {"name": "INFERENCE_SERVICE_NAME", "value": service["metadata"]["name"]}
    )
    return pod


def _owner(service: Json) -> Json:
    return {
        "apiVersion": service["apiVersion"],
        "kind": service["kind"],
        "name": service["metadata"]["name"],
        "uid": service["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
