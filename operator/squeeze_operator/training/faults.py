"""Reads what keeps workers from training out of their pods' status, and says what to do about it."""

from collections.abc import Iterable, Mapping
from typing import Any

from squeeze_operator.conditions import age, find, is_true
from squeeze_operator.podfaults import (
    CONFIG_FAULTS,
    IMAGE_FAULTS,
    Fault,
    clean,
    statuses,
    unscheduled,
    volume_advice,
)
from squeeze_operator.training.reasons import WORKER_REASONS, TrainingReason
from squeeze_operator.training.spec import TrainingSpec

MOUNT_SECONDS = 60.0
"""How long a worker may wait on its node for volumes before that is told."""
INDEX = "batch.kubernetes.io/job-completion-index"
_ADVICE = {
    TrainingReason.DIVERGED: "lower spec.optimizer.learningRate or raise spec.optimizer.warmup",
    TrainingReason.CHECKPOINT_INVALID: "give this training an output of its own",
    TrainingReason.WEIGHTS_NOT_FOUND: "check spec.weights.uri",
    TrainingReason.WEIGHTS_INVALID: "point spec.weights.uri to SqueezeNet weights",
    TrainingReason.DIGEST_MISMATCH: "correct spec.weights.sha256, or restore the file",
    TrainingReason.NO_CUDA_DEVICE: "place the workers on nodes with a GPU, or set spec.accelerator.gpus to 0",
    TrainingReason.OUTPUT_UNAVAILABLE: (
        "check spec.output.uri and, in a bucket, the Secret of spec.output.secretName; on a claim, its free "
        "space and whether spec.output.fsGroup may write"
    ),
}
# What another worker's end brings about names no cause, so every other reason goes before these.
_CONSEQUENCES = (TrainingReason.INTERRUPTED, TrainingReason.WORKER_LOST)

Json = Mapping[str, Any]


def waiting_fault(pods: Iterable[Json], spec: TrainingSpec, now: float) -> Fault | None:
    """What keeps a worker from starting at all, until somebody changes something. ``now``: Unix time."""
    for pod in sorted(pods, key=_name):
        if pod["metadata"].get("deletionTimestamp"):
            continue
        for condition in unscheduled(pod):
            return Fault(TrainingReason.UNSCHEDULABLE, _unschedulable(clean(condition.get("message")), spec))
        for status in statuses(pod, "containerStatuses"):
            fault = _waiting(status)
            if fault is not None:
                return fault
        if spec.claims and _lacks_volumes(pod, now):
            return Fault(TrainingReason.VOLUME_UNAVAILABLE, _unmounted(pod, spec))
    return None


def ended_fault(pods: Iterable[Json]) -> Fault | None:
    """Why the workers that failed last did so: a cause where one of them names it, else a consequence."""
    failed = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Failed"]
    newest = sorted(failed, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)
    faults = [_ended(pod) for pod in newest]
    causes = [fault for fault in faults if fault.reason not in _CONSEQUENCES]
    return next(iter(causes or faults), None)


def index(pod: Json) -> str:
    """The worker's number, as the Job gave it; 0 leads."""
    labels, annotations = (pod["metadata"].get(field) or {} for field in ("labels", "annotations"))
    return str(annotations.get(INDEX, labels.get(INDEX, "?")))


def message_of(pod: Json) -> str:
    """The termination message of a worker; empty where there is none."""
    for status in statuses(pod, "containerStatuses"):
        ended = (status.get("state") or {}).get("terminated")
        if ended:
            return str(ended.get("message") or "")
    return ""


def _waiting(status: Json) -> Fault | None:
    waiting = (status.get("state") or {}).get("waiting") or {}
    why, text = waiting.get("reason"), clean(waiting.get("message"))
    if why in IMAGE_FAULTS:
        return Fault(
            TrainingReason.IMAGE_UNAVAILABLE,
            f"The image {status.get('image')} cannot be pulled: check spec.image, the registry and "
            f"spec.placement.imagePullSecrets. {why}: {text}",
        )
    if why in CONFIG_FAULTS:
        return Fault(TrainingReason.CONTAINER_CONFIG_INVALID, f"{why}: {text}")
    return None


def _ended(pod: Json) -> Fault:
    worker, status = f"Worker {index(pod)}", pod.get("status") or {}
    disrupted = find(status, "DisruptionTarget")
    if status.get("reason") == "Evicted" or disrupted.get("status") == "True":
        told = clean(status.get("message") or disrupted.get("message"))
        return Fault(TrainingReason.EVICTED, f"{worker} was evicted from its node. {told}")
    ended: Json = next(
        (
            found
            for one in statuses(pod, "containerStatuses")
            if (found := (one.get("state") or {}).get("terminated"))
        ),
        {},
    )
    if ended.get("reason") == "OOMKilled":
        return Fault(
            TrainingReason.OUT_OF_MEMORY,
            f"{worker} exceeded its memory limit: raise spec.resources.limits.memory, or lower "
            "spec.dataset.loaders or spec.optimizer.batch",
        )
    word, colon, rest = clean(ended.get("message")).partition(": ")
    if colon and word in WORKER_REASONS:
        reason = TrainingReason(word)
        advice = _ADVICE.get(reason)
        return Fault(reason, f"{worker}: {rest} To do: {advice}." if advice else f"{worker}: {rest}")
    return Fault(
        TrainingReason.WORKER_FAILED,
        f"{worker} ended with exit code {ended.get('exitCode', 'unknown')}; see the log of pod {_name(pod)}",
    )


def _unschedulable(scheduler: str, spec: TrainingSpec) -> str:
    requests = dict(spec.resources["requests"])
    if spec.accelerator.gpus:
        requests[spec.accelerator.resource_name] = spec.accelerator.gpus
    shown = ", ".join(f"{amount} {name}" for name, amount in requests.items())
    volumes = volume_advice(scheduler)
    if spec.claims and spec.workers > 1:
        volumes += "a claim that is not ReadWriteMany keeps all workers on one node; "
    return (
        f"No node fits a worker (it requests {shown}): {volumes}lower spec.resources.requests or "
        f"spec.workers, relax spec.placement, or add a node. Scheduler: {scheduler}"
    )


def _lacks_volumes(pod: Json, now: float) -> bool:
    """Whether a node has had the pod for a while and has not even made its sandbox, which volumes precede."""
    status = pod.get("status") or {}
    scheduled, sandbox = (find(status, kind) for kind in ("PodScheduled", "PodReadyToStartContainers"))
    if status.get("phase") != "Pending" or not is_true(status, "PodScheduled"):
        return False
    return sandbox.get("status") == "False" and age(scheduled, now) > MOUNT_SECONDS


def _unmounted(pod: Json, spec: TrainingSpec) -> str:
    node = (pod.get("spec") or {}).get("nodeName")
    return (
        f"Worker {index(pod)} waits on node {node} for its volumes ({', '.join(spec.claims)}): see "
        f"`kubectl describe pod {_name(pod)}`. A ReadWriteOnce claim that pods on another node use can be "
        "mounted here once those have ended"
    )


def _name(pod: Json) -> str:
    return str(pod["metadata"]["name"])
