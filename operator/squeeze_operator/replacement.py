"""What an update does where every GPU is held: a new replica cannot start before an old one has gone. Pure.

With a surge replica such a rollout never ends. It can only end with fewer replicas for a while, or with none,
so that is done where the spec allows it, and is said before it is done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from squeeze_operator import desired
from squeeze_operator.conditions import age, find, waited
from squeeze_operator.podfaults import waiting_for_gpu
from squeeze_operator.quantity import parse_quantity
from squeeze_operator.reasons import Reason
from squeeze_operator.rollout import Rollout, of_spec
from squeeze_operator.snapshot import Snapshot
from squeeze_operator.spec import ModelSpec

PATIENCE_SECONDS = 30.0
"""How long a new replica waits for a GPU that comes free by itself, before an old one has to go."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Replacement:
    """Whether old replicas go first, and the reason and message to lead the status; None leaves it alone."""

    in_place: bool = False
    reason: Reason | None = None
    message: str = ""


def replacement(snapshot: Snapshot, spec: ModelSpec, pod: Json, rollout: Rollout) -> Replacement:
    """The decision for a model in the midst of an update; nothing where it has no GPU or is not updating."""
    if not spec.accelerator.gpus or (rollout.up_to_date and rollout.ready >= spec.scaling.min_replicas):
        return Replacement()
    new = of_spec(snapshot.pods, pod)
    holders = [held for held in snapshot.pods if held not in new and _holds(held, spec)]
    waits = [waited(found, snapshot.now) for found in waiting_for_gpu(new, spec)]
    under_way = spec.allow_downtime and not rollout.up_to_date and _in_place(snapshot)
    if waits and any(held["metadata"].get("deletionTimestamp") for held in holders):
        return Replacement(under_way, *_ending(spec))
    if under_way:
        # A fault of a new replica's own leads the status, and stops the replacement: one at most is away.
        plain = rollout.fault is None or (waits and holders)
        return Replacement(True, *_told(snapshot, spec, rollout)) if plain else Replacement(True)
    if not waits or not holders:
        return Replacement()
    if not spec.allow_downtime:
        return Replacement(False, *_refused(snapshot, spec, rollout))
    if max(waits) < PATIENCE_SECONDS:
        return Replacement(
            False,
            Reason.ROLLING_OUT,
            f"A new replica waits for a GPU; if none comes free in {PATIENCE_SECONDS:.0f} s, an old one goes",
        )
    return Replacement(_announced(snapshot), *_told(snapshot, spec, rollout))


def _told(snapshot: Snapshot, spec: ModelSpec, rollout: Rollout) -> tuple[Reason, str]:
    return Reason.REPLACING_IN_PLACE, (
        f"No {spec.accelerator.resource_name} is free for one replica more, so old replicas end before "
        f"new ones start, as spec.rollout.allowDowntime allows: {_cost(snapshot, rollout)}"
    )


def _refused(snapshot: Snapshot, spec: ModelSpec, rollout: Rollout) -> tuple[Reason, str]:
    return Reason.NO_ROOM_FOR_UPDATE, (
        f"No {spec.accelerator.resource_name} is free for one replica more while the old replicas hold "
        f"theirs: free or add one, or set spec.rollout.allowDowntime to true. That would cost: "
        f"{_cost(snapshot, rollout)}"
    )


def _ending(spec: ModelSpec) -> tuple[Reason, str]:
    reason = Reason.REPLACING_IN_PLACE if spec.allow_downtime else Reason.ROLLING_OUT
    return reason, "A new replica waits for the GPU of an old one that is ending"


def _cost(snapshot: Snapshot, rollout: Rollout) -> str:
    """What a replacement in place takes away, and for how long."""
    left = max(0, rollout.ready - 1)
    who = f"{left} of {rollout.ready} replicas answer" if left else "no replica answers"
    last = _start_seconds(snapshot.pods)
    start = f" (the last start took {last:.0f} s)" if last is not None else ""
    each = " for each replica" if rollout.ready > 1 else ""
    return (
        f"{who} while an old replica ends (at most {desired.TERMINATION_GRACE_SECONDS} s) and a new one "
        f"starts{start}{each}"
    )


def _start_seconds(pods: Sequence[Json]) -> float | None:
    """The longest that a replica that answers now took from its start to its readiness."""
    taken = []
    for pod in pods:
        ready, begun = find(pod.get("status"), "Ready"), (pod.get("status") or {}).get("startTime")
        if ready.get("status") == "True" and begun:
            taken.append(-age(ready, datetime.fromisoformat(begun).timestamp()))
    return max(taken, default=None)


def _holds(pod: Json, spec: ModelSpec) -> bool:
    """Whether the end of a pod frees as many GPUs of the wanted kind as a new replica needs."""
    if (pod.get("status") or {}).get("phase") in ("Pending", "Succeeded", "Failed"):
        return False
    requests = (pod["spec"]["containers"][0].get("resources") or {}).get("requests") or {}
    return parse_quantity(requests.get(spec.accelerator.resource_name, 0)) >= spec.accelerator.gpus


def _in_place(snapshot: Snapshot) -> bool:
    predictor = ((snapshot.service or {}).get("spec") or {}).get("predictor") or {}
    return bool(predictor.get("deploymentStrategy") == desired.IN_PLACE)


def _announced(snapshot: Snapshot) -> bool:
    """Whether the status has said of this very spec that old replicas go first."""
    ready = find(snapshot.model.get("status"), "Ready")
    generation = snapshot.model["metadata"]["generation"]
    return (ready.get("reason"), ready.get("observedGeneration")) == (Reason.REPLACING_IN_PLACE, generation)
