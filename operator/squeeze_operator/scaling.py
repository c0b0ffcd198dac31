"""Who scales a model, and how well: the hand-over between autoscalers, and the condition Scaling. Pure."""

from collections.abc import Mapping
from typing import Any

from squeeze_operator import desired, names
from squeeze_operator.conditions import Condition, age, find
from squeeze_operator.podfaults import clean
from squeeze_operator.reasons import Reason
from squeeze_operator.rollout import Rollout
from squeeze_operator.scalehistory import reversals
from squeeze_operator.snapshot import Snapshot
from squeeze_operator.spec import ModelSpec

METRICS_GRACE_SECONDS = 120.0
"""A new replica has no metrics for a minute or so, and none at all is no fault before that."""
FLAPPING_REVERSALS = 3
"""Up, down, up and down again."""
PENDING = frozenset({Reason.AUTOSCALER_STARTING, Reason.OLD_AUTOSCALER_PRESENT, Reason.WAITING_FOR_METRICS})
"""Reasons that pass by themselves within minutes."""
WARNINGS = frozenset(
    {
        Reason.METRICS_MISSING,
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

Json = dict[str, Any]


def autoscalers(
    snapshot: Snapshot, spec: ModelSpec
) -> tuple[tuple[Json, ...], tuple[Mapping[str, Any], ...]]:
    """The autoscaler to have, and the one to delete: at most one of them.

    Two autoscalers of one Deployment undo each other's work, so ours waits until KServe has let go.
    """
    live = snapshot.children.get(names.AUTOSCALERS.kind)
    ours = live is not None and snapshot.owns(live)
    if spec.scaling.metric == "none":
        return (), (live,) if live is not None and ours else ()
    if ours or (live is None and _handed_over(snapshot)):
        return (desired.autoscaler(snapshot.model["metadata"], spec),), ()
    return (), ()


def _handed_over(snapshot: Snapshot) -> bool:
    """Whether KServe knows that it does not scale this model, and has stopped."""
    if snapshot.service is None or snapshot.kserve_autoscaler is not None:
        return False
    told = _autoscaler_class(snapshot.service) == "external"
    # KServe passes the class on to the Deployment, and sets the number of replicas while it is "none" there.
    return told and (
        snapshot.deployment is None or _autoscaler_class(snapshot.deployment) not in ("hpa", "none")
    )


def _autoscaler_class(holder: Mapping[str, Any]) -> str | None:
    annotations = holder["metadata"].get("annotations") or {}
    found: str | None = annotations.get(names.AUTOSCALER_CLASS)
    return found


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
    if live is not None and not snapshot.owns(live):
        return _no(
            Reason.NAME_TAKEN,
            f"A HorizontalPodAutoscaler named {snapshot.key.name} exists and does not belong to this "
            "SqueezeModel: rename this model, or delete that HorizontalPodAutoscaler",
        )
    if live is None and snapshot.kserve_autoscaler is not None:
        return _no(Reason.OLD_AUTOSCALER_PRESENT, "KServe's autoscaler still scales; it has been told to go")
    if live is None:
        return _no(Reason.AUTOSCALER_STARTING, "The autoscaler is made once KServe has the InferenceService")
    return _blind(live, snapshot.now) or _bounded(snapshot, spec, live, rollout) or _following(spec)


def _blind(live: Mapping[str, Any], now: float) -> Condition | None:
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
    if active.get("reason") == "ScalingDisabled":
        return _no(
            Reason.SCALED_TO_ZERO, "The Deployment has 0 replicas; scale it to 1 and the autoscaler goes on"
        )
    if active.get("reason") == "AmbiguousSelector":
        return _no(Reason.ANOTHER_AUTOSCALER, f"Delete the autoscaler that is not this model's: {message}")
    if "missing request for" in message:
        return _no(Reason.REQUESTS_MISSING, f"Set spec.resources.requests.cpu. Autoscaler: {message}")
    if age(active, now) < METRICS_GRACE_SECONDS:
        return _no(Reason.WAITING_FOR_METRICS, "The autoscaler waits for the first metrics of the replicas")
    return _no(
        Reason.METRICS_MISSING,
        f"The number of replicas stays as it is; is metrics-server running? Autoscaler: {message}",
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
    text = (
        f"{scaling.min_replicas} to {scaling.max_replicas} replicas, so that each uses {scaling.target} % of "
        "the CPU that it requests"
    )
    return Condition("Scaling", True, Reason.FOLLOWS_LOAD, text)


def _no(reason: Reason, message: str) -> Condition:
    return Condition("Scaling", False, reason, message)
