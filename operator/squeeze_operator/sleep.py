"""Whether a model may sleep without a replica, and who answers for it meanwhile. Pure.

The activator's addresses stand behind the model's Service before KEDA may take the last replica, and until a
replica answers and KEDA sees load. So a request finds somebody at every moment, also while the operator or
KEDA is down: what the operator has not allowed does not happen, and what stands goes on standing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from squeeze_operator import names
from squeeze_operator.conditions import Condition, find, is_true
from squeeze_operator.podfaults import first_fault
from squeeze_operator.reasons import Reason
from squeeze_operator.rollout import Rollout, without_replicas
from squeeze_operator.slices import stand_in
from squeeze_operator.snapshot import Snapshot
from squeeze_operator.spec import KEDA_METRICS, ModelSpec

Json = dict[str, Any]
Live = Mapping[str, Any]
_AT_REST = frozenset({Reason.ASLEEP, Reason.WAKING})


@dataclass(frozen=True)
class Sleep:
    """What of a model's replicas and routing follows from `minReplicas: 0`."""

    to_zero: bool = False
    """Whether KEDA may take the last replica."""
    standing_in: Json | None = None
    """The wanted EndpointSlice of the activator."""
    superfluous: tuple[Live, ...] = ()
    """The live EndpointSlice that is no longer wanted."""
    reason: Reason | None = None
    """ASLEEP or WAKING where no replica answers and a request would be held until one does."""
    waking_first: bool = False
    """Whether the spec of before is started first: a new one is proven beside a replica that answers."""
    wake_seconds: int | None = None
    """How long a replica took to start the last time."""

    @property
    def wait(self) -> str:
        """How long a request waits, as a sentence has it."""
        return "until one answers" + (f", about {self.wake_seconds} s" if self.wake_seconds else "")


def sleep(snapshot: Snapshot, spec: ModelSpec | None, rollout: Rollout) -> Sleep:
    """What follows for a model; what is there stays where its spec is not in force."""
    if snapshot.options.activator is None:
        return Sleep()
    live, scaled_object = snapshot.own(names.ENDPOINT_SLICES.kind), snapshot.own(names.SCALED_OBJECTS.kind)
    active = scaled_object is not None and is_true(scaled_object.get("status"), "Active")
    standing = live is not None and bool(snapshot.activators)
    reason = _reason(snapshot, rollout) if standing else None
    if spec is None:
        return Sleep(reason=reason)
    may_sleep = spec.scaling.may_sleep
    # It goes last: once a replica answers, is seen to be busy, and may no longer be taken away.
    needed = (
        not (rollout.serving and active) if may_sleep else live is not None and not rollout.serving
    ) or (live is not None and _at_zero(scaled_object))
    wanted = needed and _standable(snapshot)
    proven = rollout.up_to_date and (rollout.routed or rollout.dormant)
    return Sleep(
        to_zero=may_sleep and standing and proven and not active,
        standing_in=stand_in(snapshot.model["metadata"], snapshot.activators) if wanted else None,
        superfluous=() if wanted or live is None else (live,),
        reason=reason,
        waking_first=_waking_first(snapshot, spec, rollout),
        wake_seconds=_wake_seconds(snapshot) if may_sleep else None,
    )


def serving_condition(state: Sleep) -> Condition | None:
    """Serving, where no replica answers and requests are held until one does."""
    if state.reason is None:
        return None
    return Condition("Serving", True, state.reason, f"No replica runs; a request waits {state.wait}")


def _standable(snapshot: Snapshot) -> bool:
    """Whether there is an activator to stand in, and a Service of KServe's to stand behind."""
    return bool(snapshot.activators) and snapshot.service is not None and snapshot.deployment is not None


def _reason(snapshot: Snapshot, rollout: Rollout) -> Reason | None:
    """Why a request would be answered though no replica is ready; None where it might not be."""
    before = snapshot.model.get("status")
    # A model that has never answered has yet to show that it can.
    if rollout.serving or rollout.fault is not None or not is_true(before, "Serving"):
        return None
    return Reason.ASLEEP if without_replicas(snapshot.deployment) else Reason.WAKING


def _waking_first(snapshot: Snapshot, spec: ModelSpec, rollout: Rollout) -> bool:
    """Whether replicas of the spec before are to answer before a new one takes their place.

    A Deployment without replicas would replace nothing by something that nobody has seen answer.
    """
    scaled_object = snapshot.own(names.SCALED_OBJECTS.kind)
    if rollout.current or scaled_object is None or snapshot.deployment is None:
        return False
    if spec.scaling.metric not in KEDA_METRICS:
        # Somebody else scales from here on, and the ScaledObject waits for that.
        return without_replicas(snapshot.deployment)
    if _at_zero(scaled_object):
        # KEDA might take the replica that answers in this very moment.
        return True
    if rollout.serving:
        return False
    said = find(snapshot.model.get("status"), "Ready").get("reason")
    stuck = first_fault(snapshot.pods, spec) or _given_up(snapshot.deployment)
    return without_replicas(snapshot.deployment) or (said in _AT_REST and not stuck)


def _given_up(deployment: Live) -> bool:
    """Whether a Deployment has given up on its new replicas."""
    return find(deployment.get("status"), "Progressing").get("status") == "False"


def _at_zero(scaled_object: Live | None) -> bool:
    return scaled_object is not None and scaled_object["spec"].get("minReplicaCount") == 0


def _wake_seconds(snapshot: Snapshot) -> int | None:
    """From the making of the newest ready replica until it was ready; what was told before where none is."""
    taken = [seconds for pod in snapshot.pods if (seconds := _start_seconds(pod)) is not None]
    if taken:
        return max(1, round(min(taken)))
    before: int | None = (snapshot.model.get("status") or {}).get("wakeSeconds")
    return before


def _start_seconds(pod: Live) -> float | None:
    ready, made = find(pod.get("status"), "Ready"), pod["metadata"].get("creationTimestamp")
    if ready.get("status") != "True" or not made or not ready.get("lastTransitionTime"):
        return None
    return (
        datetime.fromisoformat(str(ready["lastTransitionTime"])) - datetime.fromisoformat(str(made))
    ).total_seconds()
