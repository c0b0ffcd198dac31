"""Reads what keeps pods from serving out of their status, and says it so that a person can act on it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from squeeze_operator import names
from squeeze_operator.conditions import find
from squeeze_operator.reasons import PREDICTOR_REASONS, Explained, Reason
from squeeze_operator.spec import ModelSpec

MAX_MESSAGE = 1000
"""Longest foreign text in a condition, in characters; a termination message may have 4096."""

IMAGE_FAULTS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
CONFIG_FAULTS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_ADVICE = {
    Reason.WEIGHTS_NOT_FOUND: "check spec.weights.uri",
    Reason.WEIGHTS_INVALID: "point spec.weights.uri to SqueezeNet weights",
    Reason.DIGEST_MISMATCH: "correct spec.weights.sha256, or restore the file",
    Reason.NO_CUDA_DEVICE: (
        "install the GPU driver and device plugin on the node, place the model on a node with a GPU, "
        "or set spec.accelerator.gpus to 0"
    ),
    Reason.ENGINE_FAILED: "save the artifact again if its golden.safetensors is not its own",
}

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """Something that does not get better by waiting."""

    reason: Explained
    message: str


def first_fault(pods: Iterable[Json], spec: ModelSpec) -> Fault | None:
    """The fault of the first pod that has one, in the order of the pods' names."""
    ordered = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    return next((fault for pod in ordered for fault in _faults(pod, spec)), None)


def waiting_for_gpu(pods: Iterable[Json], spec: ModelSpec) -> list[Json]:
    """The PodScheduled conditions of pods that no node has GPUs for."""
    return [
        condition
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        for condition in unscheduled(pod)
        if spec.accelerator.gpus and spec.accelerator.resource_name in str(condition.get("message"))
    ]


def downloading(pods: Iterable[Json]) -> bool:
    """Whether some pod's storage initializer is at work."""
    return any(
        "running" in (status.get("state") or {})
        for pod in pods
        for status in statuses(pod, "initContainerStatuses")
        if status.get("name") == names.STORAGE_INITIALIZER
    )


def clean(text: object) -> str:
    """Foreign text on one line, without control characters, of bounded length."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", str(text or "")).split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def _faults(pod: Json, spec: ModelSpec) -> Iterator[Fault]:
    if pod["metadata"].get("deletionTimestamp"):
        return
    yield from _scheduling(pod, spec)
    for status in statuses(pod, "initContainerStatuses"):
        yield from _container_fault(status, spec, init=True)
    for status in statuses(pod, "containerStatuses"):
        yield from _container_fault(status, spec, init=False)


def _scheduling(pod: Json, spec: ModelSpec) -> Iterator[Fault]:
    for condition in unscheduled(pod):
        yield Fault(Reason.UNSCHEDULABLE, _unschedulable(clean(condition.get("message")), spec))


def unscheduled(pod: Json) -> list[Json]:
    """The PodScheduled condition of a pod that no node fits; else nothing."""
    condition = find(pod.get("status"), "PodScheduled")
    return [condition] if condition.get("reason") == "Unschedulable" else []


def volume_advice(scheduler: str) -> str:
    """What to do about volumes before anything else, where the scheduler names them; else nothing."""
    named = re.search("volume|pvc", scheduler, re.IGNORECASE)
    return "check that each claim exists, is bound, and can be used on a node with room; " if named else ""


def _unschedulable(scheduler: str, spec: ModelSpec) -> str:
    gpus, resource = spec.accelerator.gpus, spec.accelerator.resource_name
    if gpus and resource in scheduler:
        return (
            f"Each replica asks for {gpus} {resource} and no node has that many free: lower "
            f"spec.accelerator.gpus or spec.scaling, add a node that offers {resource}, or free one. "
            f"Scheduler: {scheduler}"
        )
    requests = ", ".join(f"{amount} {name}" for name, amount in spec.resources["requests"].items())
    return (
        f"No node fits a replica (it requests {requests}): {volume_advice(scheduler)}lower "
        f"spec.resources.requests, relax spec.placement, or add a node. Scheduler: {scheduler}"
    )


def _container_fault(status: Json, spec: ModelSpec, init: bool) -> Iterator[Fault]:
    waiting = (status.get("state") or {}).get("waiting") or {}
    why = waiting.get("reason")
    if why in IMAGE_FAULTS:
        image, text = status.get("image"), clean(waiting.get("message"))
        yield Fault(
            Reason.IMAGE_UNAVAILABLE,
            f"The image {image} cannot be pulled: check spec.image, the registry and "
            f"spec.placement.imagePullSecrets. {why}: {text}",
        )
    elif why in CONFIG_FAULTS:
        yield Fault(Reason.CONTAINER_CONFIG_INVALID, f"{why}: {clean(waiting.get('message'))}")
    elif not status.get("ready"):
        ended = _failed_end(status)
        if ended is not None:
            yield _download_fault(ended, spec) if init else _ended_fault(ended, status)


def _failed_end(status: Json) -> Json | None:
    """How the container failed now or last; None where it has not failed yet."""
    for state in ("state", "lastState"):
        ended: Json | None = (status.get(state) or {}).get("terminated")
        if ended is not None and (ended.get("exitCode") or ended.get("reason") == "OOMKilled"):
            return ended
    return None


def _download_fault(ended: Json, spec: ModelSpec) -> Fault:
    return Fault(
        Reason.WEIGHTS_DOWNLOAD_FAILED,
        f"The weights at {spec.weights.shown} could not be fetched: check the URI and the credentials of "
        f"spec.placement.serviceAccountName. Storage initializer: {_tail(ended.get('message'))}",
    )


def _tail(message: object) -> str:
    """The end of a log: the last lines name the cause, the first ones are a traceback."""
    lines = [line for line in str(message or "no message").splitlines() if line.strip()]
    return clean(" ".join(lines[-3:]))


def _ended_fault(ended: Json, status: Json) -> Fault:
    if ended.get("reason") == "OOMKilled":
        return Fault(
            Reason.OUT_OF_MEMORY, "A replica exceeded its memory limit: raise spec.resources.limits.memory"
        )
    message = clean(ended.get("message"))
    word, colon, rest = message.partition(": ")
    if colon and word in PREDICTOR_REASONS:
        reason = Reason(word)
        advice = _ADVICE.get(reason)
        return Fault(reason, f"{rest} To do: {advice}." if advice else rest)
    code = ended.get("exitCode")
    return Fault(
        Reason.CRASH_LOOP,
        f"A replica ended with exit code {code}; see the log of its container {status.get('name')} "
        f"(kubectl logs --previous). {message or 'It left no message.'}",
    )


def statuses(pod: Json, field: str) -> list[Json]:
    """containerStatuses or initContainerStatuses of a pod; none where it has none yet."""
    found: list[Json] = (pod.get("status") or {}).get(field) or []
    return found
