"""A scale-up takes nothing away: Ready holds while as many replicas answer as before."""

from typing import Any

import pytest
from squeeze_operator.conditions import find
from squeeze_operator.decide import decide
from unit.operator_snapshots import ROUTED, replicas, seen, unschedulable

ADDING = [
    {"type": "PredictorReady", "status": "Unknown", "message": "ReplicaSet is progressing"},
    {"type": "IngressReady", "status": "True"},
    {"type": "Ready", "status": "Unknown"},
]
"""What KServe says while a replica of several does not answer yet."""
UNLOOKED = {"type": "IngressReady", "status": "False", "reason": "Predictor ingress not created"}
ONE = {"scaling": {"minReplicas": 1}}
THREE = {"scaling": {"minReplicas": 3}}


def settled(ready: int) -> dict[str, Any]:
    """The status of a model that was Ready at the look before."""
    conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "UpToDate")]
    return {"observedGeneration": 3, "readyReplicas": ready, "conditions": conditions}


def ready(spec: dict[str, Any], deployment: dict[str, Any], **rest: Any) -> tuple[str, str]:
    """Status and reason of Ready."""
    condition = find(decide(seen(spec, deployment, **({"service": ADDING} | rest))).status, "Ready")
    return condition["status"], condition["reason"]


@pytest.mark.parametrize("observed", [1, 2], ids=["not observed yet", "observed"])
def test_ready_holds_while_more_replicas_start(observed: int) -> None:
    deployment = replicas(1, 3, observedGeneration=observed)
    assert ready(ONE, deployment, status=settled(1)) == ("True", "Available")


def test_ready_holds_while_a_raised_minimum_is_brought_about() -> None:
    assert ready(THREE, replicas(1, 3), status=settled(1)) == ("True", "Available")


def test_fewer_than_before_and_fewer_than_asked_for_are_not_ready() -> None:
    assert ready(THREE, replicas(2, 3), status=settled(3)) == ("False", "Starting")


def test_a_model_that_scales_down_is_ready_by_what_was_asked_for() -> None:
    assert ready(ONE, replicas(1, 2), status=settled(4)) == ("True", "Available")


@pytest.mark.parametrize(
    ("answering", "state"), [(1, ("False", "Starting")), (2, ("True", "Available"))], ids=str
)
def test_after_an_outage_as_many_as_asked_for_make_it_ready(answering: int, state: tuple[str, str]) -> None:
    assert ready({}, replicas(answering, 3)) == state


def test_a_route_that_is_lost_meanwhile_is_told() -> None:
    lost = [ADDING[0], {"type": "IngressReady", "status": "False", "message": "no gateway"}, ADDING[2]]
    assert ready(ONE, replicas(1, 3), service=lost, status=settled(1)) == ("False", "RouteNotReady")


def test_a_route_that_kserve_does_not_look_at_is_as_it_was() -> None:
    waits = [ADDING[0], UNLOOKED, ADDING[2]]
    assert ready(ONE, replicas(1, 3), service=waits, status=settled(1)) == ("True", "Available")
    assert ready(ONE, replicas(1, 3), service=waits) == ("False", "RouteNotReady")


def test_a_replica_without_room_below_the_minimum_is_a_fault() -> None:
    state = ready(THREE, replicas(1, 3), pods=[unschedulable("Insufficient cpu")], status=settled(1))
    assert state == ("False", "Unschedulable")


def test_an_update_is_not_taken_for_a_scale_up() -> None:
    old = ready(ONE, replicas(1, 2), deployed={"image": "old"}, status=settled(1))
    assert old == ("False", "RollingOut")
    half = ready(ONE, replicas(1, 2, updated=1), status=settled(1), service=ROUTED)
    assert half == ("False", "RollingOut")


def test_an_unobserved_change_of_another_spec_is_not_current() -> None:
    before = settled(1) | {"observedGeneration": 2}
    deployment = replicas(1, 3, observedGeneration=1)
    assert ready(ONE, deployment, status=before) == ("False", "RollingOut")
