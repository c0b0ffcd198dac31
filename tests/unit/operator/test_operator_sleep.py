"""Models that may sleep: when KEDA may take the last replica, who answers meanwhile, and what is said."""

from typing import Any

import pytest
from squeeze_operator.decide import decide
from squeeze_operator.decision import Decision
from squeeze_operator.desired import inference_service
from squeeze_operator.keda import scaled_object
from squeeze_operator.names import Key
from squeeze_operator.slices import asks_for_sleep, ready_addresses, stand_in
from squeeze_operator.snapshot import Options, Snapshot
from squeeze_operator.spec import parse_spec
from unit.operator_snapshots import OPTIONS, ROUTED, SPEC, replicas, seen, waiting

SCALING = {"minReplicas": 0, "maxReplicas": 3, "metric": "utilization"}
ASKED = {"scaling": SCALING}
WITH = Options(
    OPTIONS.predictor_image,
    prometheus_address="http://prometheus:9090",
    activator=Key("system", "activator"),
)
METADATA = {"name": "digits", "namespace": "team", "uid": "u1"}
PODS = ("10.0.0.7", "10.0.0.8")
NEWER = {"image": "registry.example/predictor:2"}
"""A change that rolls the replicas."""


def told(ready: str = "True", reason: str = "Available", generation: int = 3) -> dict[str, Any]:
    """The status that was written at the look before."""
    kinds = {"Ready": ready, "Serving": "True", "UpToDate": "True"}
    return {
        "observedGeneration": generation,
        "conditions": [{"type": kind, "status": state, "reason": reason} for kind, state in kinds.items()],
        "wakeSeconds": 6,
    }


def looked(
    told_replicas: int = 1,
    ready: int = 1,
    *,
    active: bool = False,
    minimum: int | None = None,
    standing: bool = False,
    activators: tuple[str, ...] = PODS,
    there: int | None = None,
    service: list[dict[str, Any]] = ROUTED,
    spec: dict[str, Any] = ASKED,
    status: dict[str, Any] | None = None,
    **rest: Any,
) -> Snapshot:
    """A model of KServe's with so many replicas, its ScaledObject, and the activator's slice."""
    found = seen(
        spec,
        replicas(ready, told_replicas if there is None else there),
        service=service,
        status=status or told(),
        **rest,
    )
    assert found.deployment is not None
    found.deployment["spec"]["replicas"] = told_replicas
    children = dict(found.children)
    if minimum is not None:
        made = scaled_object(METADATA, parse_spec(SPEC | ASKED), WITH, to_zero=minimum == 0)
        conditions = [{"type": "Active", "status": str(active)}]
        children["ScaledObject"] = made | {"status": {"conditions": conditions}}
        children["ScaledObject"]["metadata"]["uid"] = "u3"
        owner = {"kind": "ScaledObject", "name": "digits", "uid": "u3", "controller": True}
        children["HorizontalPodAutoscaler"] = {
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "digits", "ownerReferences": [owner]},
            "status": {"conditions": [{"type": "ScalingActive", "status": "True"}]},
        }
    if standing:
        children["EndpointSlice"] = stand_in(METADATA, PODS)
    for child in children.values():
        child["metadata"].setdefault("ownerReferences", [{"uid": "u1", "controller": True}])
    children["InferenceService"]["metadata"].setdefault("annotations", {})
    return Snapshot(
        **(
            vars(found)
            | {
                "options": WITH,
                "children": children,
                "keda_installed": True,
                "activators": activators,
            }
        )
    )


def made(decision: Decision, kind: str) -> dict[str, Any] | None:
    """The wanted object of a kind."""
    return next((one for one in decision.objects if one["kind"] == kind), None)


def least(decision: Decision) -> int:
    """How few replicas KEDA may leave."""
    found = made(decision, "ScaledObject")
    assert found is not None
    number: int = found["spec"]["minReplicaCount"]
    return number


def condition(decision: Decision, kind: str) -> tuple[str, str, str]:
    """Status, reason and message."""
    assert decision.status is not None
    (found,) = [one for one in decision.status["conditions"] if one["type"] == kind]
    return found["status"], found["reason"], found["message"]


def gone(decision: Decision) -> list[str]:
    """The kinds of what is to be deleted."""
    return [str(live["kind"]) for live in decision.unwanted]


def test_the_activator_stands_in_before_the_last_replica_may_go() -> None:
    first = decide(looked(minimum=1))
    assert made(first, "EndpointSlice") == stand_in(METADATA, PODS)
    assert least(first) == 1
    assert least(decide(looked(minimum=1, standing=True))) == 0


def test_nothing_sleeps_before_it_can_be_reached() -> None:
    unrouted = [{"type": "IngressReady", "status": "False", "reason": "NotYet"}]
    fresh = told(ready="False", reason="RouteNotReady")
    assert least(decide(looked(minimum=1, standing=True, service=unrouted, status=fresh))) == 1


def test_a_busy_model_is_not_put_to_sleep_and_answers_by_itself() -> None:
    busy = decide(looked(minimum=1, active=True))
    assert (made(busy, "EndpointSlice"), least(busy)) == (None, 1)


def test_the_activator_goes_only_when_the_replica_may_not() -> None:
    first = decide(looked(minimum=0, active=True, standing=True))
    assert least(first) == 1
    assert made(first, "EndpointSlice") is not None
    then = decide(looked(minimum=1, active=True, standing=True))
    assert gone(then) == ["EndpointSlice"]
    assert made(then, "EndpointSlice") is None


def test_a_model_that_sleeps_is_well_and_says_how_long_a_request_waits() -> None:
    asleep = decide(looked(0, 0, minimum=0, standing=True))
    for kind in ("Ready", "Serving"):
        status, reason, message = condition(asleep, kind)
        assert (status, reason) == ("True", "Asleep")
        assert "about 6 s" in message
    assert condition(asleep, "UpToDate")[0] == "True"
    assert condition(asleep, "Scaling")[:2] == ("True", "Asleep")
    assert condition(asleep, "Reconciling")[0] == condition(asleep, "Stalled")[0] == "False"
    assert not asleep.look_again
    assert least(asleep) == 0


def test_keda_asks_prometheus_of_replicas_alone() -> None:
    asleep, awake = (
        made(decide(looked(number, number, minimum=0, standing=True)), "ScaledObject") for number in (0, 1)
    )
    assert asleep is not None
    assert awake is not None
    assert [trigger["name"] for trigger in asleep["spec"]["triggers"]] == ["held"]
    assert [trigger["name"] for trigger in awake["spec"]["triggers"]] == ["utilization", "held"]
    (held,) = asleep["spec"]["triggers"]
    assert held["metadata"]["url"] == "http://activator.system.svc:9090/held/team/digits"
    assert asleep["spec"]["cooldownPeriod"] == 300


def test_a_model_that_wakes_is_well_as_long_as_nothing_is_wrong() -> None:
    waking = decide(looked(1, 0, active=True, minimum=0, standing=True, status=told(reason="Asleep")))
    assert condition(waking, "Ready")[:2] == ("True", "Waking")
    assert condition(waking, "Serving")[:2] == ("True", "Waking")
    broken = decide(looked(1, 0, minimum=0, standing=True, pods=[waiting("ImagePullBackOff", "none")]))
    assert condition(broken, "Serving")[0] == "False"
    assert condition(broken, "Stalled")[:2] == ("True", "ImageUnavailable")


def test_a_gateway_that_misses_the_port_of_grpc_is_no_trouble_while_a_model_sleeps() -> None:
    unbacked = [{"type": "IngressReady", "status": "False", "reason": "EndpointsNotFound"}]
    asleep = decide(looked(0, 0, minimum=0, standing=True, service=unbacked))
    assert condition(asleep, "Ready")[:2] == ("True", "Asleep")
    never = told(ready="False", reason="RouteNotReady")
    unrouted = decide(looked(0, 0, minimum=0, standing=True, service=unbacked, status=never))
    assert condition(unrouted, "Ready")[0] == "False"


def test_the_moment_before_the_pod_is_made_changes_nothing() -> None:
    waking = decide(looked(1, 0, there=0, active=True, minimum=0, standing=True))
    assert condition(waking, "UpToDate")[0] == condition(waking, "Ready")[0] == "True"
    assert condition(waking, "Serving")[:2] == ("True", "Waking")


def test_a_first_replica_that_starts_is_not_yet_a_model_that_wakes() -> None:
    fresh = {"observedGeneration": 3, "conditions": []}
    starting = decide(looked(1, 0, minimum=1, standing=True, status=fresh))
    assert condition(starting, "Ready")[:2] == ("False", "Starting")
    assert condition(starting, "Serving")[0] == "False"


def test_without_an_activator_that_is_ready_nothing_sleeps() -> None:
    alone = decide(looked(0, 0, minimum=0, standing=True, activators=()))
    assert least(alone) == 1
    assert gone(alone) == ["EndpointSlice"]
    assert condition(alone, "Serving")[:2] == ("False", "NoReplicaAnswers")


def test_an_installation_without_an_activator_refuses_and_takes_nothing_away() -> None:
    given = looked(minimum=1)
    without = decide(Snapshot(**(vars(given) | {"options": Options("p:1", prometheus_address="http://p")})))
    assert condition(without, "Stalled")[:2] == ("True", "ActivatorMissing")
    assert (without.objects, without.unwanted) == ((), ())


@pytest.mark.parametrize(
    ("number", "reason", "held_back"),
    [(0, "Asleep", True), (1, "Waking", True), (1, "Available", False)],
    ids=["asleep", "waking", "awake before"],
)
def test_a_new_spec_meets_a_replica_that_answers(number: int, reason: str, held_back: bool) -> None:
    changed = ASKED | NEWER
    look = looked(
        number,
        0,
        minimum=0 if held_back else 1,
        standing=True,
        spec=changed,
        deployed=ASKED,
        status=told(reason=reason, generation=2),
    )
    decision = decide(look)
    assert (made(decision, "InferenceService") is None) is held_back
    assert least(decision) == 1
    if held_back:
        assert condition(decision, "Reconciling")[:2] == ("True", "Waking")
        assert condition(decision, "Serving")[0] == "True"
        assert condition(decision, "UpToDate")[0] == "False"


def test_a_new_spec_waits_until_keda_may_not_take_the_replica_that_answers() -> None:
    changed: dict[str, Any] = {"spec": ASKED | NEWER, "deployed": ASKED, "standing": True}
    at_risk = decide(looked(1, 1, minimum=0, **changed))
    assert made(at_risk, "InferenceService") is None
    assert least(at_risk) == 1
    assert made(decide(looked(1, 1, minimum=1, **changed)), "InferenceService") is not None


def test_a_spec_that_is_not_in_force_leaves_a_model_asleep() -> None:
    broken = ASKED | {"resources": {"requests": {"cpu": "much"}}}
    asleep = decide(looked(0, 0, minimum=0, standing=True, spec=broken, deployed=ASKED))
    assert condition(asleep, "Stalled")[:2] == ("True", "InvalidSpec")
    assert condition(asleep, "Serving")[:2] == ("True", "Asleep")
    assert (asleep.objects, asleep.unwanted) == ((), ())


def test_a_new_spec_goes_on_once_the_old_one_answers_or_cannot() -> None:
    at_work: dict[str, Any] = {"spec": ASKED | NEWER, "deployed": ASKED, "status": told("False", "Waking", 2)}
    answers = decide(looked(1, 1, minimum=1, standing=True, **at_work))
    assert made(answers, "InferenceService") is not None
    pods = [waiting("ImagePullBackOff", "gone")]
    cannot = decide(looked(1, 0, minimum=1, standing=True, pods=pods, **at_work))
    assert made(cannot, "InferenceService") is not None


def test_a_rollout_keeps_the_last_replica_until_it_is_proven() -> None:
    rolling = looked(2, 1, minimum=0, standing=True, spec=ASKED | NEWER, deployed=ASKED)
    assert least(decide(rolling)) == 1


def test_a_model_that_no_longer_may_sleep_is_woken_before_keda_leaves_it() -> None:
    by_cpu = {"scaling": {"minReplicas": 2, "metric": "cpu"}}
    asleep = decide(looked(0, 0, minimum=0, standing=True, spec=by_cpu))
    assert gone(asleep) == []
    (change,) = asleep.changes
    assert (change["kind"], change["spec"]) == ("ScaledObject", {"minReplicaCount": 2})
    awake = decide(looked(2, 2, minimum=2, standing=True, spec=by_cpu))
    assert "ScaledObject" in gone(awake)
    assert awake.changes == ()


def test_kserve_makes_every_model_with_a_replica() -> None:
    assert (
        inference_service(METADATA, parse_spec(SPEC | ASKED), WITH)["spec"]["predictor"]["minReplicas"] == 1
    )


def test_addresses_are_those_that_take_new_requests() -> None:
    ends = [
        {"addresses": ["10.0.0.9"], "conditions": {}},
        {"addresses": ["10.0.0.2"], "conditions": {"ready": True}},
        {"addresses": ["10.0.0.3"], "conditions": {"ready": False}},
        {"addresses": ["10.0.0.4"], "conditions": {"ready": True, "terminating": True}},
    ]
    six = {"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::1"]}]}
    four = {"addressType": "IPv4", "endpoints": ends}
    assert ready_addresses([six, four, {"addressType": "IPv4", "endpoints": None}]) == (
        "10.0.0.2",
        "10.0.0.9",
    )
    assert ready_addresses([six]) == ("fd00::1",)
    assert stand_in(METADATA, ready_addresses([six]))["addressType"] == "IPv6"


@pytest.mark.parametrize("spec", [None, [], {}, {"scaling": None}, {"scaling": []}, {"scaling": {}}])
def test_a_model_of_any_shape_asks_for_sleep_only_where_it_says_so(spec: Any) -> None:
    assert not asks_for_sleep({"spec": spec})
    assert asks_for_sleep({"spec": {"scaling": {"minReplicas": 0}}})
