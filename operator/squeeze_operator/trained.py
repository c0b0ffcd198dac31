"""Weights that a SqueezeTraining made: where they are, and whether they are good enough to roll out. Pure.

The artifact that was accepted last is remembered in the model's status, so that a model goes on where its
training has been deleted, or is run again under the same name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from squeeze_operator.conditions import find, is_true
from squeeze_operator.podfaults import Fault, clean
from squeeze_operator.reasons import Reason
from squeeze_operator.snapshot import Snapshot

Json = Mapping[str, Any]
_KEPT = ("uri", "digest", "validation", "test")


@dataclass(frozen=True)
class Resolution:
    """The spec with its weights by URI, or what forbids to serve them; `training` is status.training."""

    spec: Json
    training: Json | None = None
    fault: Fault | None = None


def resolve(snapshot: Snapshot) -> Resolution:
    """The model's spec with the artifact of the training that it names; one without a reference as it is."""
    spec: Json = snapshot.model.get("spec") or {}
    weights = spec.get("weights")
    reference = weights.get("trainingRef") if isinstance(weights, Mapping) else None
    if not isinstance(reference, Mapping):
        return Resolution(spec)
    name = str(reference.get("name"))
    accepted: Json | None = (snapshot.model.get("status") or {}).get("training")
    artifact = _finished(name, snapshot.training) or (
        accepted if (accepted or {}).get("name") == name else None
    )
    if artifact is None:
        return Resolution(spec, accepted, _unfinished(name, snapshot.training))
    fault = _gate(name, spec.get("gate"), artifact)
    if fault is not None:
        return Resolution(spec, accepted, fault)
    found = {"uri": artifact["uri"], "sha256": artifact["digest"]}
    return Resolution({**spec, "weights": found}, artifact)


def _finished(name: str, training: Json | None) -> Json | None:
    status = (training or {}).get("status") or {}
    artifact = status.get("artifact")
    if not artifact or not is_true(status, "Ready"):
        return None
    return {"name": name} | {field: artifact[field] for field in _KEPT if field in artifact}


def _unfinished(name: str, training: Json | None) -> Fault:
    if training is None:
        return Fault(
            Reason.WAITING_FOR_TRAINING,
            f"There is no SqueezeTraining {name} in this namespace yet: create it, or correct "
            "spec.weights.trainingRef.name",
        )
    status = training.get("status") or {}
    ready = find(status, "Ready")
    told = f"{ready.get('reason', 'Creating')}: {clean(ready.get('message'))}"
    if is_true(status, "Stalled"):
        return Fault(Reason.TRAINING_FAILED, f"SqueezeTraining {name} does not go on. {told}")
    return Fault(Reason.WAITING_FOR_TRAINING, f"SqueezeTraining {name} is not finished. {told}")


def _gate(name: str, gate: object, artifact: Json) -> Fault | None:
    if not isinstance(gate, Mapping):
        return None
    least, split = float(gate["minTop1"]), str(gate.get("split", "test"))
    top1 = (artifact.get(split) or {}).get("top1")
    kept = "Replicas that answer go on with the weights they have"
    if top1 is None:
        return Fault(
            Reason.GATE_NOT_PASSED,
            f"SqueezeTraining {name} measured no {split} top-1: give its dataset a {split} split, or change "
            f"spec.gate.split. {kept}",
        )
    if top1 >= least:
        return None
    return Fault(
        Reason.GATE_NOT_PASSED,
        f"SqueezeTraining {name} has a {split} top-1 of {top1:.4f}, {least - top1:.4f} below "
        f"spec.gate.minTop1 ({least:.4f}): train better, or lower the gate. {kept}",
    )
