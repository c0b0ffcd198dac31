"""Who scales a model, through every hand-over, and what the model says about it."""

from collections.abc import Callable
from typing import Any

import pytest
from integration.apiserver import ControlPlane, eventually
from integration.kserve import CLASS
from integration.operator_runner import Model, RunningOperator
from prometheus_client import REGISTRY

Make = Callable[..., Model]
LONG_AGO = "2020-01-01T00:00:00Z"
GOOD = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "well"}


def autoscaler(model: Model) -> dict[str, Any] | None:
    """The operator's own autoscaler of a model."""
    found: dict[str, Any] | None = model.kube.get(f"{model.kserve.autoscalers}/{model.name}")
    return found


def all_autoscalers(model: Model) -> list[str]:
    """The names of all autoscalers in the model's namespace."""
    return [item["metadata"]["name"] for item in model.kube.get(model.kserve.autoscalers)["items"]]


def autoscaler_class(model: Model) -> str:
    """Who scales, as the InferenceService tells KServe."""
    found: str = model.kserve.service()["metadata"]["annotations"][CLASS]
    return found


def measured(model: Model, load: int, *conditions: dict[str, str]) -> None:
    """Writes the autoscaler's status, as kube-controller-manager does after each measurement."""
    current = {
        "type": "ContainerResource",
        "containerResource": {
            "name": "cpu",
            "container": "kserve-container",
            "current": {"averageUtilization": load, "averageValue": f"{load}m"},
        },
    }
    timed = [{"lastTransitionTime": LONG_AGO} | condition for condition in conditions]
    status = {"desiredReplicas": 2, "currentReplicas": 2, "currentMetrics": [current], "conditions": timed}
    model.kube.patch(f"{model.kserve.autoscalers}/{model.name}/status", {"status": status})


def made(model: Model) -> dict[str, Any]:
    """The autoscaler, once the operator has made it."""
    return eventually(lambda: autoscaler(model), "the autoscaler is made")


def set_replicas(model: Model, number: int) -> None:
    """Scales the Deployment, as an autoscaler does."""
    model.kube.patch(model.kserve.deployment_path, {"spec": {"replicas": number}})


def replicas(model: Model) -> int:
    """The number of replicas that the Deployment wants."""
    number: int = model.kube.get(model.kserve.deployment_path)["spec"]["replicas"]
    return number


@pytest.mark.usefixtures("operator")
def test_a_model_gets_an_autoscaler_that_it_owns_and_that_obeys_the_profile(model: Make) -> None:
    digits = model()
    created = digits.create(profile="cost", scaling={"target": 60})
    digits.kserve.deploy()
    scaler = made(digits)
    assert scaler["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == "digits-predictor"
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 2)
    metric = scaler["spec"]["metrics"][0]["containerResource"]
    assert (metric["container"], metric["target"]["averageUtilization"]) == ("kserve-container", 60)
    assert scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 600
    assert autoscaler_class(digits) == "external"
    digits.change(scaling={"behavior": {"scaleDown": {"stabilizationWindowSeconds": 900}}})
    eventually(
        lambda: made(digits)["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 900,
        "the window follows the spec",
    )
    eventually(
        lambda: (
            digits.get()["status"]["effective"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 900
        ),
        "the status shows the window in force",
    )


@pytest.mark.usefixtures("operator")
def test_an_autoscaler_edited_or_deleted_by_hand_comes_back(model: Make) -> None:
    digits = model()
    digits.create()
    digits.kserve.serve()
    scaler = made(digits)
    path = f"{digits.kserve.autoscalers}/digits"
    digits.kube.patch(path, {"spec": {"maxReplicas": 99, "behavior": {"scaleUp": {"selectPolicy": "Min"}}}})

    def as_before() -> bool:
        spec = made(digits)["spec"]
        return (spec["maxReplicas"], spec["behavior"]["scaleUp"]["selectPolicy"]) == (5, "Max")

    eventually(as_before, "it is as before")
    digits.kube.delete(path)
    uid = scaler["metadata"]["uid"]
    eventually(lambda: made(digits)["metadata"]["uid"] != uid, "a new autoscaler")


@pytest.mark.usefixtures("operator")
def test_a_fixed_number_and_back_never_has_two_who_scale_and_keeps_the_replicas(model: Make) -> None:
    digits = model()
    digits.create(scaling={"minReplicas": 3})
    digits.kserve.serve(3)
    made(digits)
    set_replicas(digits, 3)
    digits.change(scaling={"metric": "none"})
    eventually(lambda: autoscaler_class(digits) == "none", "KServe is told")
    assert all_autoscalers(digits) == [], "ours went before KServe was told"
    digits.kserve.serve(3)
    assert replicas(digits) == 3
    digits.wait("Scaling", "True", "FixedReplicas")
    digits.change(scaling={"metric": "cpu"})
    eventually(lambda: autoscaler_class(digits) == "external", "KServe is told")
    # The Deployment still says that KServe sets the number.
    digits.wait("Scaling", "False", "AutoscalerStarting")
    assert all_autoscalers(digits) == []
    digits.kserve.serve(3)
    made(digits)
    assert replicas(digits) == 3


def test_models_of_an_operator_that_left_scaling_to_kserve_are_taken_over(
    kserve_plane: ControlPlane, model: Make
) -> None:
    digits = model()
    kubeconfig = kserve_plane.folder / "operator.kubeconfig"
    older = RunningOperator(kubeconfig)
    older.start()
    digits.create()
    digits.kserve.service()
    older.stop()
    # As the older operator left it: KServe's class, KServe's autoscaler, scaled up to four.
    for autoscaler_name in all_autoscalers(digits):
        digits.kube.delete(f"{digits.kserve.autoscalers}/{autoscaler_name}")
    digits.kube.patch(digits.kserve.service_path, {"metadata": {"annotations": {CLASS: "hpa"}}})
    digits.kserve.serve(4)
    digits.kserve.autoscale()
    set_replicas(digits, 4)
    newer = RunningOperator(kubeconfig)
    newer.start()
    try:
        eventually(lambda: autoscaler_class(digits) == "external", "KServe is told")
        digits.wait("Scaling", "False", "OldAutoscalerPresent")
        assert all_autoscalers(digits) == ["digits-predictor"]
        digits.kserve.deploy()
        digits.kserve.autoscale()
        made(digits)
        assert all_autoscalers(digits) == ["digits"]
        assert replicas(digits) == 4
    finally:
        newer.stop()


@pytest.mark.usefixtures("operator")
def test_trouble_with_metrics_is_said_and_takes_nothing_from_ready(model: Make) -> None:
    digits = model()
    digits.create()
    digits.kserve.serve(2)
    made(digits)
    measured(digits, 5, GOOD)
    digits.wait("Scaling", "True", "FollowsLoad")
    digits.wait("Ready", "True", "Available")
    bad = GOOD | {"status": "False", "reason": "FailedGetContainerResourceMetric"}
    measured(digits, 5, bad | {"message": "unable to get metrics for resource cpu: no metrics returned"})
    missing = digits.wait("Scaling", "False", "MetricsMissing")
    assert "no metrics returned" in missing["message"]
    assert digits.condition("Ready")["status"] == "True"
    assert digits.condition("Stalled")["status"] == "False"
    measured(digits, 5, bad | {"message": "missing request for cpu in container kserve-container of Pod p"})
    digits.wait("Scaling", "False", "RequestsMissing")
    limited = {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas", "message": ""}
    measured(digits, 500, GOOD, limited)
    digits.wait("Scaling", "False", "AtMaxReplicas")
    measured(digits, 5, GOOD)
    digits.wait("Scaling", "True", "FollowsLoad")


@pytest.mark.usefixtures("operator")
def test_measurements_alone_cost_no_reconcile(model: Make) -> None:
    digits = model()
    digits.create()
    digits.kserve.serve(2)
    made(digits)
    measured(digits, 1, GOOD)
    digits.wait("Scaling", "True", "FollowsLoad")
    seen = {"kind": "HorizontalPodAutoscaler"}

    def events() -> float:
        return REGISTRY.get_sample_value("squeeze_operator_watch_events_total", seen) or 0

    def reconciles() -> float:
        return REGISTRY.get_sample_value("squeeze_operator_reconciles_total", {"result": "succeeded"}) or 0

    before, done = events(), reconciles()
    for load in range(2, 12):
        measured(digits, load, GOOD)
    eventually(lambda: events() >= before + 10, "the watch has told of each")
    # Looks that were under way, or due because nothing is known of the replicas yet, may still end.
    assert reconciles() - done <= 4


@pytest.mark.usefixtures("operator")
def test_a_foreign_autoscaler_of_the_models_name_is_never_touched(model: Make) -> None:
    digits = model()
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}
    body = {"metadata": {"name": "digits"}, "spec": {"scaleTargetRef": target, "maxReplicas": 3}}
    foreign = digits.kube.create(digits.kserve.autoscalers, body)
    digits.create()
    digits.kserve.serve(2)
    assert "delete that HorizontalPodAutoscaler" in digits.wait("Scaling", "False", "NameTaken")["message"]
    digits.wait("Ready", "True")
    assert made(digits)["metadata"] == foreign["metadata"]
    digits.change(scaling={"metric": "none"})
    digits.wait("Scaling", "True", "FixedReplicas")
    assert made(digits)["metadata"] == foreign["metadata"]
