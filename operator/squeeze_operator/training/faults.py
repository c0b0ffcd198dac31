"""Reads what keeps workers from training out of their pods' status, and says what to do about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from squeeze_operator.conditions import find
from squeeze_operator.podfaults import CONFIG_FAULTS, IMAGE_FAULTS, clean, statuses, unscheduled
from squeeze_operator.training.reasons import WORKER_REASONS, TrainingReason
from squeeze_operator.training.spec import TrainingSpec

INDEX = "batch.kubernetes.io/job-completion-index"
_ADVICE = {
    TrainingReason.DIVERGED: "lower spec.optimizer.learningRate or raise spec.optimizer.warmup",
    TrainingReason.CHECKPOINT_INVALID: "give this training an output of its own",
    TrainingReason.WEIGHTS_NOT_FOUND: "check spec.weights.uri",
    TrainingReason.WEIGHTS_INVALID: "point spec.weights.uri to SqueezeNet weights",
    TrainingReason.DIGEST_MISMATCH: "correct spec.weights.sha256, or restore the file",
    TrainingReason.NO_CUDA_DEVICE: "place the workers on nodes with a GPU, or set spec.accelerator.gpus to 0",
    TrainingReason.OUTPUT_UNAVAILABLE: "check spec.output.uri and the Secret of spec.output.secretName",
}
# What another worker's end brings about names no cause, so every other reason goes before these.
_CONSEQUENCES = (TrainingReason.INTERRUPTED, TrainingReason.WORKER_LOST)

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """Why a worker does not train."""

    reason: TrainingReason
    message: str


def waiting_fault(pods: Iterable[Json], spec: TrainingSpec) -> Fault | None:
    """What keeps a worker from starting at all, until somebody changes something."""
    for pod in sorted(pods, key=_name):
        if pod["metadata"].get("deletionTimestamp"):
            continue
        for condition in unscheduled(pod):
            return Fault(TrainingReason.UNSCHEDULABLE, _unschedulable(clean(condition.get("message")), spec))
        for status in statuses(pod, "containerStatuses"):
            fault = _waiting(status)
            if fault is not None:
                return fault
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
    return (
        f"No node fits a worker (it requests {shown}): lower spec.resources.requests or "
        f"spec.workers, relax spec.placement, or add a node. Scheduler: {scheduler}"
    )


def _name(pod: Json) -> str:
    return str(pod["metadata"]["name"])
