"""Reads how far a rollout is out of KServe's Deployment and InferenceService.

The InferenceService's own conditions are not enough: Ready stays True during a bad rollout while old pods
serve, and its observedGeneration is not its own generation. So the Deployment's pod template is compared with
what the spec asks for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from squeeze_operator.conditions import find, is_true
from squeeze_operator.diff import covers
from squeeze_operator.injected import as_asked
from squeeze_operator.podfaults import Fault, clean, downloading, first_fault
from squeeze_operator.reasons import Reason
from squeeze_operator.snapshot import Snapshot
from squeeze_operator.spec import ModelSpec

Json = Mapping[str, Any]
_UNLOOKED = "Predictor ingress not created"
"""IngressReady's reason where KServe has not looked at the route, because its PredictorReady is not True."""
_FAILED = "Internal error occurred"
"""Begins what the API server says of a webhook that it cannot call, as while KServe's controller starts."""
_PLACEMENT = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "serviceAccountName",
)


@dataclass(frozen=True)
class Rollout:
    """Replicas as they are: `current` means that the Deployment carries the wanted pod template."""

    replicas: int = 0
    ready: int = 0
    updated: int = 0
    current: bool = False
    dormant: bool = False
    """Whether a model that may sleep has no replica, of a spec that was up to date before that."""
    downloading: bool = False
    whole: bool = False
    """Whether KServe is content, which it is not while a single replica, as of a scale-up, is missing."""
    routed: bool = False
    route_message: str = ""
    fault: Fault | None = None
    hindrance: str = ""
    """What keeps Kubernetes from making pods just now; it goes on trying."""

    @property
    def serving(self) -> bool:
        """Whether some replica answers, of this spec or of the one before."""
        return self.ready > 0

    @property
    def up_to_date(self) -> bool:
        """Whether all replicas run this spec."""
        return self.current and (self.dormant or (self.replicas > 0 and self.updated == self.replicas))


def observe(snapshot: Snapshot, spec: ModelSpec | None, pod: Json | None) -> Rollout:
    """The rollout of the wanted pod spec; with None (a spec that cannot be served) nothing is current."""
    deployment, service = snapshot.deployment, snapshot.service
    if service is None or deployment is None or not _controlled_by(deployment, service):
        return Rollout(fault=_kserve_fault(service))
    status = deployment.get("status") or {}
    template = deployment["spec"]["template"]["spec"]
    current = (
        pod is not None and _carries(template, pod) and (_observed(deployment) or _was_current(snapshot))
    )
    whole = is_true(service.get("status"), "Ready")
    pods = [] if pod is None else of_spec(snapshot.pods, pod)
    return Rollout(
        replicas=status.get("replicas") or 0,
        ready=status.get("readyReplicas") or 0,
        updated=status.get("updatedReplicas") or 0,
        current=current,
        dormant=current and _put_to_sleep(snapshot, spec, status),
        downloading=downloading(pods),
        whole=whole,
        routed=whole or _route_stands(snapshot, service),
        route_message=_route_message(service),
        fault=_fault(deployment, service, pods, spec, current),
        hindrance=_hindrance(deployment) if current else "",
    )


def of_spec(pods: Sequence[Json], pod: Json) -> list[Json]:
    """The pods that run the wanted pod spec."""
    wanted = as_asked(_without_tolerations(pod))
    return [live for live in pods if covers(as_asked(live["spec"]), wanted)]


def _fault(
    deployment: Json, service: Json, pods: list[Json], spec: ModelSpec | None, current: bool
) -> Fault | None:
    if spec is None:
        return None
    fault = first_fault(pods, spec)
    if fault is not None:
        return fault
    return _deployment_fault(deployment, pods) if current else _kserve_fault(service)


def _deployment_fault(deployment: Json, pods: list[Json]) -> Fault | None:
    failure = find(deployment.get("status"), "ReplicaFailure")
    if failure.get("status") == "True" and not _hindrance(deployment):
        return Fault(
            Reason.PODS_NOT_CREATED,
            f"Kubernetes refuses to create replicas; raise the quota or relax the policy it names: "
            f"{clean(failure.get('message'))}",
        )
    progress = find(deployment.get("status"), "Progressing")
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return Fault(
            Reason.PROGRESS_DEADLINE_EXCEEDED,
            f"New replicas did not become ready in time; look at the pods and their logs. "
            f"{clean(progress.get('message'))}{_unready(pods)}",
        )
    return None


def _hindrance(deployment: Json) -> str:
    """Why pods are not made, where the API server failed (its code 500) and did not refuse."""
    failure = find(deployment.get("status"), "ReplicaFailure")
    message = clean(failure.get("message")) if failure.get("status") == "True" else ""
    return message if message.startswith(_FAILED) else ""


def _unready(pods: list[Json]) -> str:
    """What the first pod that runs and is not ready says of itself."""
    for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"])):
        ready = find(pod.get("status"), "Ready")
        if ready.get("status") == "False" and not pod["metadata"].get("deletionTimestamp"):
            return f". Pod {pod['metadata']['name']}: {clean(ready.get('message'))}"
    return ""


def _kserve_fault(service: Json | None) -> Fault | None:
    """What KServe says where it has not made the Deployment; its write conflicts pass by themselves."""
    predictor = find((service or {}).get("status"), "PredictorReady")
    message = clean(predictor.get("message"))
    if predictor.get("reason") != "ReconcileFailed" or "the object has been modified" in message:
        return None
    return Fault(Reason.KSERVE_FAILED, f"KServe could not make the Deployment: {message}")


def _carries(template: Json, pod: Json) -> bool:
    """Whether a Deployment's pod template says what the spec asks for, and places pods nowhere else."""
    return covers(template, pod) and all(not template.get(key) for key in _PLACEMENT if key not in pod)


def without_replicas(deployment: Json | None) -> bool:
    """Whether a Deployment is told to have no replica."""
    return deployment is not None and deployment["spec"].get("replicas") == 0


def _put_to_sleep(snapshot: Snapshot, spec: ModelSpec | None, status: Json) -> bool:
    allowed = spec is not None and spec.scaling.may_sleep
    return allowed and not status.get("replicas") and _was_current(snapshot)


def _without_tolerations(pod: Json) -> Json:
    """Admission adds tolerations to every pod, so they do not tell one pod spec from another."""
    return {key: value for key, value in pod.items() if key != "tolerations"}


def _observed(deployment: Json) -> bool:
    seen = (deployment.get("status") or {}).get("observedGeneration") or 0
    return bool(seen >= deployment["metadata"]["generation"])


def _was_current(snapshot: Snapshot) -> bool:
    """Whether all replicas ran this spec at the look before: a new generation then only scales."""
    before: Json = snapshot.model.get("status") or {}
    same = before.get("observedGeneration") == snapshot.model["metadata"]["generation"]
    return same and is_true(before, "UpToDate")


def _route_stands(snapshot: Snapshot, service: Json) -> bool:
    """Whether the route is there, whatever KServe says of the replicas."""
    ingress = find(service.get("status"), "IngressReady")
    if ingress.get("status") == "True":
        return True
    return ingress.get("reason") == _UNLOOKED and is_true(snapshot.model.get("status"), "Ready")


def _controlled_by(child: Json, owner: Json) -> bool:
    owners = child["metadata"].get("ownerReferences") or []
    return any(reference.get("uid") == owner["metadata"]["uid"] for reference in owners)


def _route_message(service: Json) -> str:
    for kind in ("IngressReady", "PredictorReady", "Ready"):
        condition = find(service.get("status"), kind)
        if condition.get("status") != "True":
            said = condition.get("message") or condition.get("reason") or "nothing yet"
            return f"{kind}: {clean(said)}"
    return ""
