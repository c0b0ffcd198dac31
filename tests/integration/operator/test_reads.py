"""What a look costs that an event asked for: nothing where the watches and earlier answers tell it all."""

from collections.abc import Callable
from functools import partial
from itertools import count

import pytest
from integration.apiserver import ControlPlane, eventually
from integration.kserve import CLASS
from integration.operator_checks import serving
from integration.operator_runner import Model, RunningOperator
from prometheus_client import REGISTRY
from scale.launched import SERVED
from squeeze_operator.desired import autoscaler, disruption_budget
from squeeze_operator.spec import parse_spec

Make = Callable[..., Model]
MARKS = count()
ACTIVE = {
    "type": "ScalingActive",
    "status": "True",
    "reason": "ValidMetricFound",
    "message": "well",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def reconciles() -> float:
    """Looks at models that have ended well, in this process."""
    return REGISTRY.get_sample_value("squeeze_operator_reconciles_total", {"result": "succeeded"}) or 0.0


def asked(plane: ControlPlane, namespace: str) -> list[str]:
    """Verb and kind of each of the operator's requests in a namespace."""
    return [
        f"{request['verb']} {request['objectRef']['resource']}"
        for request in plane.asked()
        if request["objectRef"].get("namespace") == namespace
    ]


def settled(make: Make, operator: RunningOperator, plane: ControlPlane, metric: str) -> Model:
    """A model with nothing left to do or to ask: an event costs no request any more."""
    operator.served = SERVED
    digits = serving(make) if metric == "cpu" else make("digits")
    if metric == "none":
        digits.create(scaling={"metric": "none"})
        digits.kserve.serve(2)
    else:
        path = f"{digits.kserve.autoscalers}/{digits.name}/status"
        digits.kube.patch(path, {"status": {"desiredReplicas": 2, "conditions": [ACTIVE]}})
    digits.wait("Ready", "True")
    digits.wait("Scaling", "True")
    eventually(lambda: asked_for_events(digits, plane) == [], "an event costs nothing", timeout=30)
    return digits


def asked_for_events(digits: Model, plane: ControlPlane) -> list[str]:
    """What the operator asks because of an event of the model, and of one of its Deployment."""
    before = len(asked(plane, digits.namespace))
    for path in (digits.path, digits.kserve.deployment_path):
        looks = reconciles()
        digits.kube.patch(path, {"metadata": {"annotations": {"example.com/mark": str(next(MARKS))}}})
        eventually(partial(looked_since, looks), "the operator looks")
    return asked(plane, digits.namespace)[before:]


def looked_since(looks: float) -> bool:
    """Whether the operator has looked at a model again."""
    return reconciles() > looks


@pytest.mark.parametrize("metric", ["cpu", "none"])
def test_a_look_at_a_settled_model_that_an_event_asked_for_costs_no_request(
    kserve_plane: ControlPlane, operator: RunningOperator, model: Make, metric: str
) -> None:
    digits = settled(model, operator, kserve_plane, metric)
    assert [asked_for_events(digits, kserve_plane) for _ in range(5)] == [[]] * 5


def test_what_came_without_our_label_since_is_seen_before_anything_is_made(
    kserve_plane: ControlPlane, operator: RunningOperator, model: Make
) -> None:
    digits = settled(model, operator, kserve_plane, "none")
    # The same values, so that even a write without force would meet no conflict.
    spec = autoscaler(digits.get()["metadata"], parse_spec(digits.get()["spec"] | {"scaling": {}}))["spec"]
    theirs = digits.kube.create(digits.kserve.autoscalers, {"metadata": {"name": "digits"}, "spec": spec})
    digits.change(scaling={"metric": "cpu"})
    eventually(lambda: digits.kserve.service()["metadata"]["annotations"][CLASS] == "external", "a hand-over")
    digits.kserve.deploy()
    digits.wait("Scaling", "False", "NameTaken")
    live = digits.kube.get(f"{digits.kserve.autoscalers}/digits")
    assert live["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"], "it is left alone"


@pytest.mark.usefixtures("operator")
def test_an_object_of_the_same_name_and_values_is_not_taken_over_when_a_model_comes(model: Make) -> None:
    digits = model()
    spec = parse_spec({"weights": {"uri": "builtin://digits"}})
    same = disruption_budget({"name": "digits", "namespace": digits.namespace, "uid": "none"}, spec)["spec"]
    path = f"/apis/policy/v1/namespaces/{digits.namespace}/poddisruptionbudgets"
    theirs = digits.kube.create(path, {"metadata": {"name": "digits-predictor"}, "spec": same})
    digits.create()
    digits.kserve.serve(2)
    digits.wait("Ready", "True")
    live = digits.kube.get(f"{path}/digits-predictor")
    assert live["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"], "it is left alone"


@pytest.mark.usefixtures("operator")
def test_a_new_model_is_brought_up_without_a_question(kserve_plane: ControlPlane, model: Make) -> None:
    digits = model()
    digits.create()
    digits.kserve.service()
    eventually(lambda: digits.kube.get(f"{digits.kserve.autoscalers}/digits"), "the autoscaler is there")
    digits.wait("Reconciling", "True")
    assert sorted(asked(kserve_plane, digits.namespace)) == [
        "patch horizontalpodautoscalers",
        "patch inferenceservices",
        "patch poddisruptionbudgets",
        "patch squeezemodels",
    ]


def test_a_restart_asks_nothing_about_a_settled_model(
    kserve_plane: ControlPlane, operator: RunningOperator, model: Make
) -> None:
    digits = settled(model, operator, kserve_plane, "cpu")
    operator.stop()
    before, looks = len(asked(kserve_plane, digits.namespace)), reconciles()
    again = RunningOperator(kserve_plane.folder / "operator.kubeconfig")
    again.served = SERVED
    again.start()
    try:
        eventually(partial(looked_since, looks), "the operator looks")
    finally:
        again.stop()
    assert asked(kserve_plane, digits.namespace)[before:] == []
