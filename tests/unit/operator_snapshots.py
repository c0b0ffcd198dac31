"""Builds the snapshots that the tests of `decide` look at."""

import copy
from typing import Any

from kserve_webhook import inject
from squeeze_operator.desired import inference_service
from squeeze_operator.snapshot import Options, Snapshot
from squeeze_operator.spec import parse_spec

OPTIONS = Options("registry.example/predictor:1")
SPEC: dict[str, Any] = {"weights": {"uri": "builtin://digits"}}
ROUTED = [{"type": "PredictorReady", "status": "True"}, {"type": "Ready", "status": "True"}]


def seen(
    spec: dict[str, Any] | None = None,
    deployment: dict[str, Any] | None = None,
    pods: list[dict[str, Any]] | None = None,
    service: list[dict[str, Any]] | None = None,
    deployed: dict[str, Any] | None = None,
    name: str = "digits",
    **rest: Any,
) -> Snapshot:
    """A snapshot: `service` and `deployment` are statuses, `deployed` the spec that the Deployment runs."""
    wanted = SPEC | (spec or {})
    metadata = {"name": name, "namespace": "team", "uid": "u1", "generation": 3, "resourceVersion": "9"}
    model = {"metadata": metadata, "spec": wanted, "status": rest.pop("status", {"observedGeneration": -1})}
    children, live = {}, None
    if service is not None:
        child = inference_service(metadata, parse_spec(SPEC | (deployed or wanted)), OPTIONS)
        child["metadata"]["uid"] = "u2"
        url = {"url": f"http://{name}-team.localhost", "address": {"url": f"http://{name}.team.svc"}}
        children["InferenceService"] = child | {"status": {"conditions": service} | url}
        if deployment is not None:
            live = {
                "metadata": {"generation": 2, "ownerReferences": [{"uid": "u2", "controller": True}]},
                "spec": {"template": {"spec": _pod(child)}},
                "status": {"observedGeneration": 2} | deployment,
            }
    running = tuple(_with_spec(pod, live) for pod in pods or [])
    return Snapshot(model, OPTIONS, children=children, deployment=live, pods=running, **rest)


def _pod(child: dict[str, Any]) -> dict[str, Any]:
    pod = copy.deepcopy(child["spec"]["predictor"])
    pod["containers"][0]["env"].append({"name": "INFERENCE_SERVICE_NAME", "value": "digits"})
    return {key: pod[key] for key in pod if not key.startswith(("min", "max", "scale", "deploymentS"))}


def _with_spec(pod: dict[str, Any], deployment: dict[str, Any] | None) -> dict[str, Any]:
    assert deployment is not None
    template = inject(deployment["spec"]["template"]["spec"])
    # As admission does to every pod.
    template["tolerations"] = [*template.get("tolerations", []), {"key": "node.kubernetes.io/not-ready"}]
    return {"metadata": {"name": "p"} | pod.get("metadata", {}), "spec": template, "status": pod["status"]}


def replicas(ready: int, of: int | None = None, updated: int | None = None, **more: Any) -> dict[str, Any]:
    """The status of a Deployment."""
    total = ready if of is None else of
    return {
        "replicas": total,
        "readyReplicas": ready,
        "updatedReplicas": total if updated is None else updated,
    } | more


def waiting(reason: str, message: str = "", container: str = "containerStatuses") -> dict[str, Any]:
    """A pod with a container that waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    return {"status": {container: [{"name": "c", "image": "i:1", "ready": False, "state": state}]}}


def ended(message: str, code: int = 1, init: bool = False, reason: str = "Error") -> dict[str, Any]:
    """A pod with a container that has ended and runs again, not ready yet."""
    last = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    name, field = ("storage-initializer", "initContainerStatuses") if init else ("c", "containerStatuses")
    status = {"name": name, "image": "i:1", "ready": False, "state": {"running": {}}, "lastState": last}
    return {"status": {field: [status]}}


def unschedulable(message: str) -> dict[str, Any]:
    """A pod that no node fits."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"status": {"conditions": [condition]}}


def starting(*pods: dict[str, Any], **spec: Any) -> Snapshot:
    """One replica that does not answer yet, with these pods."""
    return seen(spec, replicas(0, 1), list(pods), [])
