"""An update where every GPU is held: refused, or announced and then done in place."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from squeeze_operator.conditions import find
from squeeze_operator.decide import decide
from squeeze_operator.decision import Decision
from squeeze_operator.snapshot import Snapshot
from unit.operator_snapshots import ROUTED, ended, replicas, seen, unschedulable

NOW = 1_800_000_000.0
NO_GPU = "0/3 nodes are available: 1 Insufficient nvidia.com/gpu."
OLD_START, OLD_READY = "2027-01-15T06:00:00Z", "2027-01-15T06:00:12Z"
ALLOWED = {"accelerator": {"gpus": 1}, "rollout": {"allowDowntime": True}, "scaling": {"minReplicas": 1}}
FORBIDDEN = ALLOWED | {"rollout": {}}


def waiting_since(time: str, message: str = NO_GPU) -> dict[str, Any]:
    """A new replica that has found no node since then."""
    pod = unschedulable(message)
    pod["status"]["phase"] = "Pending"
    pod["status"]["conditions"][0]["lastTransitionTime"] = time
    return pod


LONG = waiting_since("2027-01-15T07:59:00Z")
SHORT = waiting_since("2027-01-15T07:59:50Z")


def updating(
    spec: dict[str, Any],
    new: dict[str, Any],
    old: dict[str, Any] | None = None,
    in_place: bool = False,
    deployment: dict[str, Any] | None = None,
    **rest: Any,
) -> Snapshot:
    """A model whose old replica (of image "old", with this metadata) serves, and whose new one is so."""
    snapshot = seen(spec, deployment or replicas(1, 2, updated=1), [new], ROUTED, now=NOW, **rest)
    holder = copy.deepcopy(dict(snapshot.pods[0]))
    holder["metadata"] = {"name": "old"} | (old or {})
    holder["spec"]["containers"][0]["image"] = "old"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": OLD_READY}
    holder["status"] = {"phase": "Running", "startTime": OLD_START, "conditions": [ready]}
    service = copy.deepcopy(dict(snapshot.children["InferenceService"]))
    if in_place:
        service["spec"]["predictor"]["deploymentStrategy"]["rollingUpdate"] = {
            "maxUnavailable": 1,
            "maxSurge": 0,
        }
    children = {**snapshot.children, "InferenceService": service}
    return replace(snapshot, pods=(*snapshot.pods, holder), children=children)


def surge(decision: Decision) -> int:
    """How many replicas more than wanted an update may make."""
    service = next(o for o in decision.objects if o["kind"] == "InferenceService")
    surge: int = service["spec"]["predictor"]["deploymentStrategy"]["rollingUpdate"]["maxSurge"]
    return surge


def test_without_permission_it_stalls_at_once_and_says_what_it_would_cost() -> None:
    decision = decide(updating(FORBIDDEN, SHORT))
    stalled = find(decision.status, "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "NoRoomForUpdate")
    assert "set spec.rollout.allowDowntime to true" in stalled["message"]
    assert "no replica answers while an old replica ends (at most 60 s)" in stalled["message"]
    assert "the last start took 12 s" in stalled["message"]
    assert find(decision.status, "Serving")["status"] == "True"
    assert surge(decision) == 1


def test_with_permission_a_gpu_may_first_come_free_by_itself() -> None:
    decision = decide(updating(ALLOWED, SHORT))
    assert find(decision.status, "Reconciling")["reason"] == "RollingOut"
    assert "in 30 s" in find(decision.status, "Ready")["message"]
    assert surge(decision) == 1
    assert decision.look_again


def test_the_cost_is_announced_before_anything_is_done() -> None:
    first = decide(updating(ALLOWED, LONG))
    assert find(first.status, "Reconciling")["reason"] == "ReplacingInPlace"
    (said,) = [a for a in first.announcements if a.reason == "ReplacingInPlace"]
    assert said.type == "Warning"
    assert "no replica answers while an old replica ends" in said.message
    assert surge(first) == 1
    second = decide(updating(ALLOWED, LONG, status=first.status))
    assert surge(second) == 0
    assert second.announcements == ()
    of_another_spec = copy.deepcopy(first.status)
    assert of_another_spec is not None
    for condition in of_another_spec["conditions"]:
        condition["observedGeneration"] = 2
    assert surge(decide(updating(ALLOWED, LONG, status=of_another_spec))) == 1


def test_several_replicas_go_one_by_one() -> None:
    decision = decide(updating(ALLOWED, LONG, deployment=replicas(2, 3, updated=1)))
    assert "1 of 2 replicas answer" in find(decision.status, "Ready")["message"]
    assert "for each replica" in find(decision.status, "Ready")["message"]


def test_a_replacement_goes_on_until_the_update_is_complete_and_surge_comes_back() -> None:
    placed = {"status": {"phase": "Running"}}
    half = decide(updating(ALLOWED, placed, in_place=True, deployment=replicas(1, 2, updated=1)))
    assert surge(half) == 0
    assert find(half.status, "Reconciling")["reason"] == "ReplacingInPlace"
    done = decide(updating(ALLOWED, placed, in_place=True, deployment=replicas(2)))
    assert surge(done) == 1
    assert find(done.status, "Ready")["status"] == "True"
    withdrawn = decide(updating(FORBIDDEN, placed, in_place=True, deployment=replicas(1, 2, updated=1)))
    assert surge(withdrawn) == 1


def test_a_replica_that_is_ending_gives_its_gpu_in_a_moment() -> None:
    ending = {"deletionTimestamp": "now"}
    last = replicas(0, 1, updated=1)
    decision = decide(updating(ALLOWED, LONG, ending, in_place=True, deployment=last))
    assert find(decision.status, "Reconciling")["reason"] == "ReplacingInPlace"
    assert "that is ending" in find(decision.status, "Ready")["message"]
    assert find(decision.status, "Serving")["status"] == "False"
    plain = decide(updating(FORBIDDEN, LONG, ending, deployment=replicas(1, 2, updated=1)))
    assert find(plain.status, "Reconciling")["reason"] == "RollingOut"


def test_a_new_replica_that_fails_in_place_stalls_with_its_own_cause() -> None:
    decision = decide(updating(ALLOWED, ended("WeightsInvalid: no conv1."), in_place=True))
    assert find(decision.status, "Stalled")["reason"] == "WeightsInvalid"
    assert surge(decision) == 0


@pytest.mark.parametrize(
    "snapshot",
    [
        updating({"scaling": {"minReplicas": 1}}, LONG),
        updating(ALLOWED, waiting_since("2027-01-15T07:00:00Z", "3 Insufficient cpu.")),
        updating(ALLOWED | {"accelerator": {"gpus": 1, "resourceName": "amd.com/gpu"}}, LONG),
        seen(ALLOWED, replicas(0, 1), [LONG], ROUTED, now=NOW),
    ],
    ids=["no GPU asked for", "no CPU free", "another kind of GPU", "nobody to replace"],
)
def test_any_other_lack_of_room_is_unschedulable_as_ever(snapshot: Snapshot) -> None:
    decision = decide(snapshot)
    assert find(decision.status, "Stalled")["reason"] == "Unschedulable"
    assert surge(decision) == 1


def test_one_replica_more_that_finds_no_gpu_is_no_update() -> None:
    decision = decide(updating(ALLOWED, LONG, deployment=replicas(1, 2)))
    assert find(decision.status, "Ready")["reason"] == "ReplicasFailing"
    assert surge(decision) == 1
