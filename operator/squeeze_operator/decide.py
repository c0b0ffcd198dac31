"""Decides what should be: from one snapshot to the wanted objects and the wanted status.

Pure and total: no client, clock or environment, and an answer for everything that the API server can hold.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from squeeze_operator import desired, keda
from squeeze_operator.conditions import Condition, find, is_true
from squeeze_operator.decision import Announcement, Decision
from squeeze_operator.effective import effective
from squeeze_operator.handover import autoscalers, waking
from squeeze_operator.hostnames import too_long
from squeeze_operator.isolation import isolation
from squeeze_operator.podfaults import Fault, clean
from squeeze_operator.reasons import Reason
from squeeze_operator.replacement import Replacement, replacement
from squeeze_operator.rollout import Rollout, observe
from squeeze_operator.scaling import PENDING, WARNINGS, scaling_condition
from squeeze_operator.sleep import Sleep, serving_condition, sleep
from squeeze_operator.snapshot import Snapshot
from squeeze_operator.spec import ModelSpec, SpecError, parse_spec
from squeeze_operator.trained import Resolution, resolve
from squeeze_operator.verdict import Verdict, leading

Json = dict[str, Any]


def decide(snapshot: Snapshot) -> Decision:
    """The decision for a snapshot."""
    metadata = snapshot.model["metadata"]
    if metadata.get("deletionTimestamp"):
        # The garbage collector follows the ownerReferences; there is nothing left to say.
        return Decision()
    weights = resolve(snapshot)
    spec, blocker = (None, weights.fault) if weights.fault else _servable(snapshot, weights.spec)
    pod = desired.pod_spec(metadata["name"], spec, snapshot.options) if spec else None
    rollout = observe(snapshot, spec, pod)
    swap = replacement(snapshot, spec, pod, rollout) if spec and pod else Replacement()
    in_force = None if blocker else spec
    state = sleep(snapshot, in_force, rollout)
    verdict = _verdict(snapshot, spec, blocker, rollout, swap, state)
    scaling = scaling_condition(snapshot, in_force, rollout)
    objects, unwanted = _objects(snapshot, in_force, swap, state) if in_force else ((), ())
    conditions = [*_conditions(rollout, verdict, state), scaling]
    return Decision(
        objects=objects,
        unwanted=unwanted,
        changes=waking(snapshot, in_force) if in_force else (),
        status=_status(snapshot, rollout, conditions, in_force, weights, state),
        announcements=_announcements(snapshot.model.get("status"), verdict, scaling),
        look_again=not verdict.ready
        or verdict.retrying is not None
        or (snapshot.served is None and not rollout.dormant)
        or scaling.reason in PENDING,
    )


def _servable(snapshot: Snapshot, raw: Mapping[str, Any]) -> tuple[ModelSpec | None, Fault | None]:
    """The typed spec, and what forbids to act on it."""
    try:
        spec = parse_spec(raw)
    except SpecError as error:
        return None, Fault(Reason.INVALID_SPEC, clean(error))
    length = too_long(snapshot.key, snapshot.options.domain_template)
    if length:
        return spec, Fault(Reason.NAME_TOO_LONG, length)
    if not snapshot.kserve_installed:
        return spec, Fault(
            Reason.KSERVE_MISSING,
            "This cluster has no InferenceService API: install KServe; the model goes on by itself then",
        )
    if "InferenceService" in snapshot.children and snapshot.service is None:
        return spec, Fault(
            Reason.NAME_TAKEN,
            f"An InferenceService named {snapshot.key.name} exists and does not belong to this SqueezeModel: "
            "rename this model, or delete that InferenceService",
        )
    return spec, keda.missing(snapshot, spec)


def _objects(
    snapshot: Snapshot, spec: ModelSpec, swap: Replacement, state: Sleep
) -> tuple[tuple[Json, ...], tuple[Mapping[str, Any], ...]]:
    """The wanted children, without those whose name somebody else holds, and the unwanted ones."""
    metadata = snapshot.model["metadata"]
    strategy = desired.IN_PLACE if swap.in_place else desired.SURGE
    scalers, superfluous = autoscalers(snapshot, spec, state)
    service = desired.inference_service(metadata, spec, snapshot.options, strategy)
    policies, open_again = isolation(snapshot, spec)
    wanted = (
        # First, so that no replica starts without it.
        *policies,
        *(() if state.waking_first else (service,)),
        desired.disruption_budget(metadata, spec),
        # Somebody stands in before the last replica may go.
        *((state.standing_in,) if state.standing_in else ()),
        *scalers,
    )
    return tuple(o for o in wanted if not snapshot.foreign(o["kind"])), (
        *superfluous,
        *open_again,
        *state.superfluous,
    )


def _verdict(
    snapshot: Snapshot,
    spec: ModelSpec | None,
    blocker: Fault | None,
    rollout: Rollout,
    swap: Replacement,
    state: Sleep,
) -> Verdict:
    error = snapshot.apply_error
    if error is not None and error.rejected:
        blocker = blocker or Fault(Reason.REJECTED, f"The API server refused it: {clean(error.message)}")
    if blocker is not None:
        waits = blocker.reason is Reason.WAITING_FOR_TRAINING
        return Verdict(blocker.reason, blocker.message, stalled=not waits)
    if swap.reason is not None:
        verdict = Verdict(swap.reason, swap.message, stalled=swap.reason is Reason.NO_ROOM_FOR_UPDATE)
    else:
        verdict = _observed_verdict(snapshot, spec, rollout, state)
    failed = rollout.hindrance if error is None else clean(error.message)
    if not failed or verdict.stalled:
        return verdict
    retrying = f"Trying again with back-off: {failed}"
    if verdict.ready:
        return replace(verdict, retrying=retrying)
    return Verdict(Reason.API_ERROR, retrying, retrying=retrying)


def _observed_verdict(snapshot: Snapshot, spec: ModelSpec | None, rollout: Rollout, state: Sleep) -> Verdict:
    assert spec is not None, "a spec that does not parse is a blocker"
    if state.waking_first:
        return Verdict(
            Reason.WAKING,
            "A replica of the spec before has to answer first: it goes on until one of this spec does",
        )
    # Gateways call a route broken while nobody is behind one of its ports, as that of gRPC.
    stood = is_true(snapshot.model.get("status"), "Ready")
    if state.reason is not None and rollout.up_to_date and (rollout.routed or stood):
        return Verdict(state.reason, f"No replica runs; a request waits {state.wait}", ready=True)
    done = rollout.up_to_date and rollout.serving
    if rollout.fault is not None and not (done and rollout.ready >= spec.scaling.min_replicas):
        return Verdict(rollout.fault.reason, rollout.fault.message, stalled=True)
    if done and rollout.routed and _enough(snapshot, spec, rollout):
        return _ready(snapshot, spec, rollout)
    return _moving(snapshot, spec, rollout)


def _enough(snapshot: Snapshot, spec: ModelSpec, rollout: Rollout) -> bool:
    """Whether as many replicas answer as were asked for, or as before those that are being added."""
    before: Mapping[str, Any] = snapshot.model.get("status") or {}
    asked = spec.scaling.min_replicas
    if is_true(before, "Ready"):
        asked = min(asked, before.get("readyReplicas", asked))
    return rollout.whole or rollout.ready >= asked


def _ready(snapshot: Snapshot, spec: ModelSpec, rollout: Rollout) -> Verdict:
    if spec.accelerator.gpus and _served(snapshot, rollout, Sleep()).get("device") == "cpu":
        return Verdict(
            Reason.RUNNING_ON_CPU,
            f"It answers, but on the CPU although each replica asked for {spec.accelerator.gpus} "
            f"{spec.accelerator.resource_name}: the replicas found no CUDA device. Install the GPU "
            "driver on the node, or set spec.accelerator.gpus to 0",
            ready=True,
        )
    if rollout.fault is not None:
        return Verdict(
            Reason.REPLICAS_FAILING,
            f"{_count(rollout)} answer; another cannot start. "
            f"{rollout.fault.reason}: {rollout.fault.message}",
            ready=True,
        )
    return Verdict(Reason.AVAILABLE, f"{_count(rollout)} answer", ready=True)


def _moving(snapshot: Snapshot, spec: ModelSpec, rollout: Rollout) -> Verdict:
    if snapshot.service is None:
        return Verdict(Reason.CREATING, "The InferenceService is being made")
    if snapshot.deployment is None or not (rollout.current or rollout.serving):
        return Verdict(
            Reason.WAITING_FOR_KSERVE,
            "KServe's controller has not acted on the InferenceService yet; if this lasts, look at the "
            "log of kserve-controller-manager",
        )
    if rollout.up_to_date and rollout.serving and rollout.routed:
        return Verdict(Reason.STARTING, f"{_count(rollout)} answer; the others are starting")
    if rollout.up_to_date and rollout.serving:
        return Verdict(Reason.ROUTE_NOT_READY, f"The route is not ready. {rollout.route_message}")
    if rollout.downloading:
        return Verdict(Reason.DOWNLOADING, f"The storage initializer is fetching {spec.weights.shown}")
    if rollout.serving:
        return Verdict(
            Reason.ROLLING_OUT,
            f"{rollout.updated if rollout.current else 0} of {rollout.replicas} replicas run this spec; "
            "the others still answer",
        )
    return Verdict(Reason.STARTING, f"{rollout.replicas} replicas are starting; none answers yet")


def _conditions(rollout: Rollout, verdict: Verdict, state: Sleep) -> list[Condition]:
    return [
        *leading(verdict),
        Condition("Serving", True, Reason.REPLICAS_ANSWER, f"{_count(rollout)} answer")
        if rollout.serving
        else serving_condition(state)
        or Condition("Serving", False, Reason.NO_REPLICA_ANSWERS, "No replica answers"),
        Condition("UpToDate", True, Reason.ALL_CURRENT, "All replicas run this spec")
        if rollout.up_to_date
        else Condition("UpToDate", False, Reason.OUTDATED, _outdated(rollout)),
    ]


def _outdated(rollout: Rollout) -> str:
    return f"{rollout.updated if rollout.current else 0} of {rollout.replicas} replicas run this spec"


def _count(rollout: Rollout) -> str:
    return f"{rollout.ready} of {rollout.replicas} replicas"


def _status(
    snapshot: Snapshot,
    rollout: Rollout,
    conditions: list[Condition],
    in_force: ModelSpec | None,
    weights: Resolution,
    state: Sleep,
) -> Json:
    generation = snapshot.model["metadata"]["generation"]
    before: Mapping[str, Any] = snapshot.model.get("status") or {}
    live = (snapshot.service or {}).get("status") or {}
    url = live.get("url")
    status: Json = {
        "observedGeneration": generation,
        "conditions": [c.as_json(generation) for c in conditions],
        "url": url,
        "host": urlsplit(url).hostname if url else None,
        "address": (live.get("address") or {}).get("url"),
        "replicas": rollout.replicas,
        "readyReplicas": rollout.ready,
        "wakeSeconds": state.wake_seconds,
        # A spec that cannot be served changes nothing, so the values before it stay in force.
        "effective": effective(in_force) if in_force else before.get("effective"),
        "training": weights.training,
        **_served(snapshot, rollout, state),
    }
    return {field: value for field, value in status.items() if value is not None}


def _served(snapshot: Snapshot, rollout: Rollout, state: Sleep) -> Json:
    """What replicas said of themselves last; kept while a request would be answered, forgotten afterwards."""
    if snapshot.served is not None:
        digest, device, engine = (snapshot.served.digest, snapshot.served.device, snapshot.served.engine)
        return {"weights": {"digest": digest} if digest else None, "device": device, "engine": engine}
    if not rollout.serving and state.reason is None:
        return {}
    before: Mapping[str, Any] = snapshot.model.get("status") or {}
    return {field: before[field] for field in ("weights", "device", "engine") if field in before}


def _announcements(
    before: Mapping[str, Any] | None, verdict: Verdict, scaling: Condition
) -> tuple[Announcement, ...]:
    """One Event for each change of mind; a message that merely counts differently is no change."""
    said = _led(before, verdict)
    if scaling.reason in WARNINGS and scaling.reason != find(before, "Scaling").get("reason"):
        return (*said, Announcement("Warning", str(scaling.reason), scaling.message))
    return said


def _led(before: Mapping[str, Any] | None, verdict: Verdict) -> tuple[Announcement, ...]:
    ready, reason = is_true(before, "Ready"), find(before, "Ready").get("reason")
    if (verdict.ready, str(verdict.reason)) == (ready, reason):
        return ()
    if verdict.stalled or verdict.reason in (
        Reason.RUNNING_ON_CPU,
        Reason.REPLICAS_FAILING,
        Reason.API_ERROR,
        Reason.REPLACING_IN_PLACE,
    ):
        return (Announcement("Warning", str(verdict.reason), verdict.message),)
    if verdict.ready and not ready:
        return (Announcement("Normal", str(verdict.reason), verdict.message),)
    return ()
