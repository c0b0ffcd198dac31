"""Who scales a model, and the hand-over from one to the next. Pure.

Two autoscalers of one Deployment undo each other's work. So the one of before goes first, the next comes when
it has gone, and the number of replicas stays meanwhile. KEDA's HorizontalPodAutoscaler bears the name of
ours, so that even by mistake there can only be one.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from squeeze_operator import desired, keda, names
from squeeze_operator.rollout import without_replicas
from squeeze_operator.sleep import Sleep
from squeeze_operator.snapshot import Snapshot
from squeeze_operator.spec import KEDA_METRICS, ModelSpec

Json = dict[str, Any]
Live = Mapping[str, Any]


class Scalers(NamedTuple):
    """The live autoscalers that are this model's; a foreign one of the same name is none of them."""

    ours: Live | None
    """The HorizontalPodAutoscaler that the operator made."""
    scaled_object: Live | None
    kedas: Live | None
    """The HorizontalPodAutoscaler that KEDA made of the ScaledObject."""

    @property
    def keda_leaves(self) -> bool:
        """Whether the ScaledObject has gone or is going: KEDA touches its autoscaler no more."""
        return self.scaled_object is None or terminating(self.scaled_object)


def scalers(snapshot: Snapshot) -> Scalers:
    """The live autoscalers of a model."""
    live = snapshot.children.get(names.AUTOSCALERS.kind)
    a_strangers = snapshot.foreign(names.SCALED_OBJECTS.kind)
    of_keda = live is not None and not a_strangers and _made_by_keda(live, snapshot.key.name)
    return Scalers(
        snapshot.own(names.AUTOSCALERS.kind),
        snapshot.own(names.SCALED_OBJECTS.kind),
        live if of_keda else None,
    )


def foreign(snapshot: Snapshot, spec: ModelSpec) -> str | None:
    """The kind of somebody else's object whose name the wanted autoscaler needs."""
    if snapshot.foreign(names.AUTOSCALERS.kind) and not scalers(snapshot).kedas:
        return names.AUTOSCALERS.kind
    if spec.scaling.metric in KEDA_METRICS and snapshot.foreign(names.SCALED_OBJECTS.kind):
        return names.SCALED_OBJECTS.kind
    return None


def terminating(live: Live) -> bool:
    """Whether an object has been deleted and waits for its finalizers."""
    return bool(live["metadata"].get("deletionTimestamp"))


def waking(snapshot: Snapshot, spec: ModelSpec) -> tuple[Json, ...]:
    """The change of KEDA's ScaledObject by which it wakes a model before another autoscaler takes over.

    One by CPU is off while there are no replicas.
    """
    found = scalers(snapshot).scaled_object
    if spec.scaling.metric in KEDA_METRICS or found is None or terminating(found):
        return ()
    if not without_replicas(snapshot.deployment):
        return ()
    identity = {field: found["metadata"][field] for field in ("name", "namespace", "uid")}
    head = {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": identity}
    return (head | {"spec": {"minReplicaCount": max(1, spec.scaling.min_replicas)}},)


def autoscalers(
    snapshot: Snapshot, spec: ModelSpec, state: Sleep
) -> tuple[tuple[Json, ...], tuple[Live, ...]]:
    """The autoscaler to have, at most one, and those to delete."""
    found, metric = scalers(snapshot), spec.scaling.metric
    if waking(snapshot, spec):
        return (), ()
    unwanted = _unwanted(found, metric)
    if metric == "none" or unwanted or foreign(snapshot, spec) or not _free(snapshot, found, metric):
        return (), unwanted
    metadata = snapshot.model["metadata"]
    if metric in KEDA_METRICS:
        replicas = not without_replicas(snapshot.deployment)
        made = keda.scaled_object(
            metadata,
            spec,
            snapshot.options,
            to_zero=state.to_zero,
            replicas=replicas or not spec.scaling.may_sleep,
        )
        return (made,), ()
    return (desired.autoscaler(metadata, spec),), ()


def _unwanted(found: Scalers, metric: str) -> tuple[Live, ...]:
    orphan = found.kedas if found.scaled_object is None else None
    if metric in KEDA_METRICS:
        return tuple(live for live in (found.ours, orphan) if live is not None)
    gone = []
    if metric == "none" and found.ours:
        gone.append(found.ours)
    if found.scaled_object is not None and not found.keda_leaves:
        gone.append(found.scaled_object)
    elif found.kedas:
        # The garbage collector may take its time, and a KEDA that is down keeps its finalizer for ever.
        gone.append(found.kedas)
    return tuple(gone)


def _free(snapshot: Snapshot, found: Scalers, metric: str) -> bool:
    """Whether nobody else scales, so that the wanted autoscaler may be made, or stays as it is."""
    if metric in KEDA_METRICS:
        if found.scaled_object is not None:
            return not found.keda_leaves
        return found.kedas is None and _handed_over(snapshot)
    return found.ours is not None or (found.keda_leaves and _handed_over(snapshot))


def _handed_over(snapshot: Snapshot) -> bool:
    """Whether KServe knows that it does not scale this model, and has stopped."""
    if snapshot.service is None or snapshot.kserve_autoscaler is not None:
        return False
    told = _autoscaler_class(snapshot.service) == "external"
    # KServe passes the class on to the Deployment, and sets the number of replicas while it is "none" there.
    return told and (
        snapshot.deployment is None or _autoscaler_class(snapshot.deployment) not in ("hpa", "none")
    )


def _autoscaler_class(holder: Live) -> str | None:
    annotations = holder["metadata"].get("annotations") or {}
    found: str | None = annotations.get(names.AUTOSCALER_CLASS)
    return found


def _made_by_keda(live: Live, model: str) -> bool:
    return any(
        owner.get("controller") and owner.get("kind") == names.SCALED_OBJECTS.kind and owner["name"] == model
        for owner in live["metadata"].get("ownerReferences") or []
    )
