"""How well a model is scaled: the condition Scaling. Pure."""

from collections.abc import Mapping
from typing import Any

from squeeze_operator import names
from squeeze_operator.conditions import Condition, find, is_true, waited
from squeeze_operator.handover import foreign, scalers, terminating
from squeeze_operator.podfaults import clean
from squeeze_operator.reasons import Reason
from squeeze_operator.rollout import Rollout
from squeeze_operator.scalehistory import reversals
from squeeze_operator.snapshot import Snapshot
from squeeze_operator.spec import KEDA_METRICS, ModelSpec

METRICS_GRACE_SECONDS = 120.0
"""A new replica has no metrics for a minute or so, and none at all is no fault before that."""
KEDA_GRACE_SECONDS = 60.0
"""KEDA makes an autoscaler within a second, and within half a minute after a start of its own."""
FLAPPING_REVERSALS = 3
"""Up, down, up and down again."""
PENDING = frozenset({Reason.AUTOSCALER_STARTING, Reason.OLD_AUTOSCALER_PRESENT, Reason.WAITING_FOR_METRICS})
"""Reasons that pass by themselves within minutes, or become others."""
WARNINGS = frozenset(
    {
        Reason.METRICS_MISSING,
        Reason.KEDA_NOT_ACTING,
        Reason.REQUESTS_MISSING,
        Reason.ANOTHER_AUTOSCALER,
        Reason.SCALED_TO_ZERO,
        Reason.NO_ROOM_TO_SCALE,
        Reason.AT_MAX_REPLICAS,
        Reason.FLAPPING,
        Reason.NAME_TAKEN,
    }
)
"""Reasons that somebody should hear of."""


def scaling_condition(snapshot: Snapshot, spec: ModelSpec | None, rollout: Rollout) -> Condition:
    """Scaling: True where the number of replicas is as the spec wants it; None is a spec not in force."""
    if spec is None:
        return _no(
            Reason.STALLED, "The spec is not in force; the autoscaler, if there is one, stays as it is"
        )
    scaling, live = spec.scaling, snapshot.children.get(names.AUTOSCALERS.kind)
    if scaling.metric == "none":
        text = f"{scaling.min_replicas} replicas, by spec.scaling.minReplicas"
        return Condition("Scaling", True, Reason.FIXED_REPLICAS, text)
    taken = foreign(snapshot, spec)
    if taken:
        return _no(
            Reason.NAME_TAKEN,
            f"A {taken} named {snapshot.key.name} exists and does not belong to this SqueezeModel: rename "
            f"this model, or delete that {taken}",
        )
    waiting = _handing_over(snapshot, spec)
    if waiting or live is None:
        return waiting or _no(
            Reason.AUTOSCALER_STARTING, "The autoscaler is made once KServe has the InferenceService"
        )
    if rollout.dormant:
        return Condition("Scaling", True, Reason.ASLEEP, f"The next request starts one of {_range(spec)}")
    return _blind(live, spec, snapshot.now) or _bounded(snapshot, spec, live, rollout) or _following(spec)


def _handing_over(snapshot: Snapshot, spec: ModelSpec) -> Condition | None:
    """What is between the model and its autoscaler."""
    found, by_keda = scalers(snapshot), spec.scaling.metric in KEDA_METRICS
    if snapshot.kserve_autoscaler is not None:
        return _no(Reason.OLD_AUTOSCALER_PRESENT, "KServe's autoscaler still scales; it has been told to go")
    if by_keda and found.ours:
        return _no(Reason.OLD_AUTOSCALER_PRESENT, "The autoscaler by CPU is being removed; KEDA's follows")
    going = found.scaled_object is not None and terminating(found.scaled_object)
    if by_keda and (going or (found.kedas and found.scaled_object is None)):
        return _no(
            Reason.OLD_AUTOSCALER_PRESENT,
            "The ScaledObject of before is still being removed, by KEDA: is keda-operator running?",
        )
    if not by_keda and (found.kedas or not found.keda_leaves):
        return _no(
            Reason.OLD_AUTOSCALER_PRESENT, "KEDA's autoscaler is being removed; the one by CPU follows"
        )
    if by_keda and found.scaled_object is not None and found.kedas is None:
        return _unmade(found.scaled_object, snapshot.now)
    return None


def _unmade(scaled_object: Mapping[str, Any], now: float) -> Condition:
    """What is said of a ScaledObject that has no autoscaler yet."""
    status = scaled_object.get("status")
    ready = find(status, "Ready")
    if is_true(status, "Paused"):
        return _no(Reason.KEDA_NOT_ACTING, "The ScaledObject is paused: remove its annotations of KEDA's")
    if ready.get("status") == "False":
        return _no(Reason.KEDA_NOT_ACTING, f"KEDA refuses the ScaledObject: {clean(ready.get('message'))}")
    made_at = {"lastTransitionTime": scaled_object["metadata"].get("creationTimestamp")}
    if waited(made_at, now) > KEDA_GRACE_SECONDS:
        return _no(
            Reason.KEDA_NOT_ACTING,
            "KEDA has made no autoscaler of the ScaledObject, so the number of replicas stays as it is: is "
            "keda-operator running?",
        )
    return _no(Reason.AUTOSCALER_STARTING, "KEDA is about to make the autoscaler")


def _blind(live: Mapping[str, Any], spec: ModelSpec, now: float) -> Condition | None:
    """What keeps the autoscaler from computing a number; it changes nothing then."""
    status = live.get("status")
    active = find(status, "ScalingActive")
    message = clean(active.get("message"))
    if not active:
        able = find(status, "AbleToScale")
        return _no(
            Reason.AUTOSCALER_STARTING,
            f"The autoscaler has not looked at the replicas yet. {clean(able.get('message'))}".strip(),
        )
    if active.get("status") != "False":
        return None
    if active.get("reason") == "ScalingDisabled" and spec.scaling.may_sleep:
        return Condition("Scaling", True, Reason.WAKING, "The autoscaler goes on once it sees the replica")
    if active.get("reason") == "ScalingDisabled":
        return _no(
            Reason.SCALED_TO_ZERO, "The Deployment has 0 replicas; scale it to 1 and the autoscaler goes on"
        )
    if active.get("reason") == "AmbiguousSelector":
        return _no(Reason.ANOTHER_AUTOSCALER, f"Delete the autoscaler that is not this model's: {message}")
    if "missing request for" in message:
        return _no(Reason.REQUESTS_MISSING, f"Set spec.resources.requests.cpu. Autoscaler: {message}")
    if waited(active, now) < METRICS_GRACE_SECONDS:
        return _no(Reason.WAITING_FOR_METRICS, "The autoscaler waits for the first metrics of the replicas")
    question = "is metrics-server running?"
    if spec.scaling.metric in KEDA_METRICS:
        question = "are KEDA and Prometheus running, and does Prometheus scrape the replicas?"
    return _no(
        Reason.METRICS_MISSING,
        f"The number of replicas stays as it is; {question} Autoscaler: {message}",
    )


def _bounded(
    snapshot: Snapshot, spec: ModelSpec, live: Mapping[str, Any], rollout: Rollout
) -> Condition | None:
    """What keeps the number that the autoscaler computes from being a good one."""
    if rollout.fault is not None and rollout.up_to_date and rollout.ready < rollout.replicas:
        return _no(
            Reason.NO_ROOM_TO_SCALE,
            f"{rollout.ready} of {rollout.replicas} replicas answer. {rollout.fault.reason}: "
            f"{rollout.fault.message}",
        )
    limited = find(live.get("status"), "ScalingLimited")
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
        most = spec.scaling.max_replicas
        return _no(
            Reason.AT_MAX_REPLICAS, f"The load asks for more than {most}: raise spec.scaling.maxReplicas"
        )
    if reversals(snapshot.scalings) >= FLAPPING_REVERSALS:
        wishes = ", ".join(map(str, snapshot.scalings))
        return _no(
            Reason.FLAPPING,
            f"Within half an hour the autoscaler wanted {wishes} replicas: raise "
            "spec.scaling.behavior.scaleDown.stabilizationWindowSeconds, or spec.scaling.minReplicas",
        )
    return None


def _following(spec: ModelSpec) -> Condition:
    scaling = spec.scaling
    aim = {
        "cpu": f"each uses {scaling.target} % of the CPU that it requests",
        "utilization": f"each is asked for {scaling.target} % of the pictures a second that it measured",
        "latency": f"95 % of the requests are answered within {scaling.target} ms",
    }[scaling.metric]
    return Condition("Scaling", True, Reason.FOLLOWS_LOAD, f"{_range(spec)}, so that {aim}")


def _range(spec: ModelSpec) -> str:
    return f"{spec.scaling.min_replicas} to {spec.scaling.max_replicas} replicas"


def _no(reason: Reason, message: str) -> Condition:
    return Condition("Scaling", False, reason, message)
