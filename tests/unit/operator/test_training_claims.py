"""What a training makes of the claims that it names: where its workers run, and what is said instead."""

from typing import Any

import pytest
from squeeze_operator.conditions import find
from squeeze_operator.spec import SpecError
from squeeze_operator.training.decide import decide
from squeeze_operator.training.snapshot import TrainingSnapshot
from squeeze_operator.training.spec import parse_training
from unit.operator.test_training_decide import ACTIVE, BEGAN, NOW, SPEC, pod, seen

OUTPUT = {"output": {"uri": "pvc://runs/digits"}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
TOGETHER = {
    "labelSelector": {"matchLabels": {"squeezeserve.io/training": "digits"}},
    "topologyKey": "kubernetes.io/hostname",
}
SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": BEGAN}
NO_SANDBOX = {"type": "PodReadyToStartContainers", "status": "False"}


def claim(*modes: str, bound: tuple[str, ...] = ()) -> dict[str, Any]:
    """A PersistentVolumeClaim; ``bound``: the modes of its volume."""
    return {"spec": {"accessModes": list(modes)}, "status": {"accessModes": list(bound)} if bound else {}}


def affinity(snapshot: TrainingSnapshot) -> Any:
    """The workers' affinity in the Job that is made; None where there is none."""
    (job,) = (one for one in decide(snapshot).objects if one["kind"] == "Job")
    return job["spec"]["template"]["spec"].get("affinity")


def stalled(snapshot: TrainingSnapshot) -> tuple[str, str]:
    """Why it does not go on, and the sentence; and there is no Job in the meantime."""
    decision = decide(snapshot)
    assert decision.objects == ()
    assert decision.look_again
    condition = find(decision.status, "Stalled")
    return condition["reason"], condition["message"]


@pytest.mark.parametrize(
    ("live", "workers", "together"),
    [
        (claim("ReadWriteOnce"), 2, True),
        (claim("ReadWriteOnce"), 1, False),
        (claim("ReadWriteMany"), 2, False),
        (claim("ReadOnlyMany"), 2, False),
        (claim("ReadWriteOnce", bound=("ReadWriteOnce", "ReadWriteMany")), 2, False),
        (claim("ReadWriteOnce", "ReadWriteMany", bound=("ReadWriteOnce",)), 2, True),
        (claim("ReadWriteOncePod"), 1, False),
    ],
)
def test_workers_share_a_node_where_a_claim_can_be_on_one_only(
    live: dict[str, Any], workers: int, together: bool
) -> None:
    made = affinity(seen(spec=OUTPUT | {"workers": workers}, claims={"runs": live}))
    assert made == ({"podAffinity": {REQUIRED: [TOGETHER]}} if together else None)


def test_one_claim_among_several_is_enough_to_keep_them_together() -> None:
    spec = OUTPUT | {"dataset": {"uri": "pvc://pictures/all"}}
    claims = {"runs": claim("ReadWriteMany"), "pictures": claim("ReadWriteOnce")}
    assert affinity(seen(spec=spec, claims=claims)) is not None


def test_the_affinity_of_the_spec_stays() -> None:
    own = {"labelSelector": {"matchLabels": {"app": "cache"}}, "topologyKey": "zone"}
    given = {"podAffinity": {REQUIRED: [own]}, "nodeAffinity": {"n": 1}}
    spec = OUTPUT | {"placement": {"affinity": given}}
    made = affinity(seen(spec=spec, claims={"runs": claim("ReadWriteOnce")}))
    assert made == {"podAffinity": {REQUIRED: [own, TOGETHER]}, "nodeAffinity": {"n": 1}}
    assert given["podAffinity"] == {REQUIRED: [own]}


@pytest.mark.parametrize("shape", [{REQUIRED: {"a": 1}}, {REQUIRED: "all"}, "all", ["all"]])
def test_an_affinity_of_another_shape_is_refused(shape: Any) -> None:
    with pytest.raises(SpecError):
        parse_training(SPEC | {"placement": {"affinity": {"podAffinity": shape}}})


def test_several_workers_cannot_share_a_claim_of_one_pod() -> None:
    reason, message = stalled(seen(spec=OUTPUT, claims={"runs": claim("ReadWriteOncePod")}))
    assert reason == "VolumeUnavailable"
    assert "set spec.workers to 1" in message


@pytest.mark.parametrize("part", ["dataset", "weights", "output"])
def test_a_claim_that_is_missing_is_named_before_anything_is_made(part: str) -> None:
    reason, message = stalled(seen(spec={part: {"uri": "pvc://mine/x"}}))
    assert reason == "VolumeUnavailable"
    assert "no PersistentVolumeClaim mine in this namespace" in message


def test_claims_are_no_matter_once_the_job_is_there_or_while_it_shall_not_begin() -> None:
    running = decide(seen(ACTIVE, [pod("Running"), pod("Running", 1)], spec=OUTPUT))
    assert find(running.status, "Ready")["reason"] == "Starting"
    waiting = decide(seen(spec=OUTPUT | {"suspend": True}))
    assert find(waiting.status, "Ready")["reason"] == "Suspended"


@pytest.mark.parametrize(
    ("told", "parts"),
    [
        ('persistentvolumeclaim "runs" not found.', ("check that each claim exists",)),
        ("2 node(s) didn't match PersistentVolume's node affinity", ("can be used on a node with room",)),
        ("2 node(s) didn't match pod affinity rules", ("keeps all workers on one node",)),
    ],
)
def test_a_worker_that_fits_no_node_is_told_what_its_claims_have_to_do_with_it(
    told: str, parts: tuple[str, ...]
) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": told}
    status = decide(seen(ACTIVE, [pod("Pending", conditions=[condition])], spec=OUTPUT)).status
    assert find(status, "Stalled")["reason"] == "Unschedulable"
    assert all(part in find(status, "Stalled")["message"] for part in (*parts, told))


@pytest.mark.parametrize(
    ("later", "spec", "reason"),
    [(90, OUTPUT, "VolumeUnavailable"), (5, OUTPUT, "Starting"), (90, {}, "Starting")],
    ids=["long", "not yet", "no claim"],
)
def test_a_worker_that_waits_on_its_node_for_a_volume_is_told(
    later: float, spec: dict[str, Any], reason: str
) -> None:
    waiting = pod("Pending", conditions=[SCHEDULED, NO_SANDBOX])
    waiting["spec"] = {"nodeName": "node-1"}
    status = decide(seen(ACTIVE, [waiting], spec=spec, now=NOW + later)).status
    assert find(status, "Ready")["reason"] == reason
    if reason == "VolumeUnavailable":
        assert "waits on node node-1 for its volumes (runs)" in find(status, "Ready")["message"]
