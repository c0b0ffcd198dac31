"""A model from its creation to its end, against a real API server."""

from collections.abc import Callable
from typing import Any

import pytest
from integration.apiserver import ControlPlane, eventually
from prometheus_client import REGISTRY
from squeeze_operator.snapshot import Served

Make = Callable[..., Any]


def writes() -> float:
    """Objects that the operator has written in this process."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        if metric.name == "squeeze_operator_writes"
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


@pytest.mark.usefixtures("operator")
def test_a_model_becomes_an_inference_service_that_it_owns(model: Make) -> None:
    digits = model()
    created = digits.create()
    service = digits.kserve.service()
    predictor = service["spec"]["predictor"]
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert service["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]
    assert service["metadata"]["ownerReferences"][0]["controller"] is True
    assert predictor["containers"][0]["name"] == "kserve-container"
    assert "--weights=builtin://digits" in predictor["containers"][0]["args"]
    assert predictor["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] > 0
    assert predictor["deploymentStrategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert digits.wait("Reconciling", "True")["reason"] in ("Creating", "WaitingForKServe")
    # Neither finalizers nor annotations of the operator's own, on anything.
    for stored in (digits.get(), service):
        assert not stored["metadata"].get("finalizers")
        assert not [key for key in stored["metadata"].get("annotations", {}) if "kopf" in key]


def test_status_follows_the_deployment(operator: Any, model: Make) -> None:
    digits = model()
    digits.create()
    digits.kserve.deploy()
    digits.kserve.report(replicas=1, ready=0, updated=1)
    digits.wait("Ready", "False", "Starting")
    digits.kserve.report(replicas=1, ready=1, updated=1)
    digits.wait("Serving", "True")
    digits.wait("Ready", "False", "RouteNotReady")
    operator.served = Served("sha256:" + "0" * 64, "cpu", "torch")
    digits.kserve.route()
    digits.wait("Ready", "True", "Available")
    status = digits.get()["status"]
    assert status["url"] == f"http://digits-{digits.namespace}.localhost"
    assert status["host"] == f"digits-{digits.namespace}.localhost"
    assert status["address"] == f"http://digits-predictor.{digits.namespace}.svc.cluster.local"
    assert (status["replicas"], status["readyReplicas"], status["device"]) == (1, 1, "cpu")
    assert status["weights"]["digest"] == "sha256:" + "0" * 64
    assert digits.wait("Stalled", "False")["reason"] == "Settled"


@pytest.mark.usefixtures("operator")
def test_a_child_edited_or_deleted_by_hand_comes_back(model: Make) -> None:
    digits = model()
    digits.create()
    service = digits.kserve.service()
    path, kube = digits.kserve.service_path, digits.kube
    kube.patch(path, {"spec": {"predictor": {"maxReplicas": 99}}})
    eventually(lambda: kube.get(path)["spec"]["predictor"]["maxReplicas"] == 5, "maxReplicas is 5 again")
    kube.delete(path)
    uid = service["metadata"]["uid"]
    eventually(lambda: (kube.get(path) or service)["metadata"]["uid"] != uid, "a new InferenceService")


@pytest.mark.usefixtures("operator")
def test_a_field_that_is_no_longer_wanted_goes(model: Make) -> None:
    gpu = model()
    gpu.create(accelerator={"gpus": 1}, placement={"nodeSelector": {"gpu": "true"}})
    limits = gpu.kserve.service()["spec"]["predictor"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1"
    gpu.change(accelerator={"gpus": 0}, placement=None)

    def plain() -> bool:
        predictor = gpu.kserve.service()["spec"]["predictor"]
        return "nodeSelector" not in predictor and not [
            amounts
            for amounts in predictor["containers"][0]["resources"].values()
            if "nvidia.com/gpu" in amounts
        ]

    eventually(plain, "neither GPU nor nodeSelector is left")


def after_reconciles(count: int) -> None:
    """Wait for that many more; a model that nothing happens to is looked at every few seconds here."""

    def succeeded() -> float:
        return REGISTRY.get_sample_value("squeeze_operator_reconciles_total", {"result": "succeeded"}) or 0

    end = succeeded() + count
    eventually(lambda: succeeded() >= end, f"{count} reconciles", timeout=40)


@pytest.mark.parametrize("operator", [{"resync_seconds": 1.0, "audit_seconds": 1.0}], indirect=True)
def test_a_converged_model_costs_no_write(operator: Any, model: Make) -> None:
    digits = model()
    digits.create(resources={"requests": {"cpu": "1000m"}, "limits": {"memory": "2048Mi"}})
    digits.kserve.serve()
    operator.served = Served("sha256:" + "1" * 64, "cpu", "torch")
    digits.wait("Ready", "True")
    eventually(lambda: digits.get()["status"].get("weights"), "the digest is known")
    # The new autoscaler's first status may still be on its way into the model's.
    after_reconciles(2)
    service, stored, written = digits.kserve.service(), digits.get(), writes()
    # The API server rewrites quantities that KServe's webhook has touched; the value is what counts.
    after_reconciles(3)
    assert digits.kserve.service()["metadata"] == service["metadata"]
    assert digits.get()["metadata"] == stored["metadata"]
    assert writes() == written


@pytest.mark.usefixtures("operator")
def test_labels_and_annotations_of_the_model_do_not_reach_the_pods(model: Make) -> None:
    digits = model()
    digits.create()
    before = digits.kserve.service()
    noise = {"labels": {"team": "vision"}, "annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}
    digits.kube.patch(digits.path, {"metadata": noise})
    digits.change(scaling={"maxReplicas": 7})
    eventually(
        lambda: digits.kserve.service()["spec"]["predictor"]["maxReplicas"] == 7,
        "the later change is applied",
    )
    after = digits.kserve.service()
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert after["spec"]["predictor"]["containers"] == before["spec"]["predictor"]["containers"]


@pytest.mark.usefixtures("operator")
def test_a_foreign_inference_service_is_never_touched(model: Make) -> None:
    digits = model()
    foreign = digits.kube.create(
        digits.kserve.service_path.rpartition("/")[0],
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "digits"},
            "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "theirs"}]}},
        },
    )
    digits.create()
    stalled = digits.wait("Stalled", "True", "NameTaken")
    assert "rename this model" in stalled["message"]
    assert digits.kserve.service()["metadata"] == foreign["metadata"]
    digits.kube.delete(digits.kserve.service_path)
    digits.wait("Stalled", "False", timeout=40)
    assert digits.kserve.service()["metadata"]["uid"] != foreign["metadata"]["uid"]


@pytest.mark.usefixtures("operator")
def test_deletion_leaves_nothing(model: Make, control_plane: ControlPlane) -> None:
    digits = model()
    digits.create()
    digits.kserve.service()
    control_plane.start_garbage_collector()
    try:
        digits.kube.delete(digits.path)
        assert digits.kube.get(digits.path) is None, "nothing holds the model back"
        budget = f"/apis/policy/v1/namespaces/{digits.namespace}/poddisruptionbudgets/digits-predictor"
        eventually(
            lambda: digits.kube.get(digits.kserve.service_path) is None and digits.kube.get(budget) is None,
            "the children are gone",
            timeout=60,
        )
    finally:
        control_plane.stop_process("garbage-collector-controller")
