"""Scaling by KEDA, against its own CRD: what it gets, and hand-overs in both directions."""

from collections.abc import Callable, Iterator

import pytest
from integration import keda
from integration.apiserver import ControlPlane, eventually
from integration.keda import Keda, owners, serving
from integration.operator_checks import written
from integration.operator_runner import Model, RunningOperator
from prometheus_client import REGISTRY

Make = Callable[..., Model]


@pytest.fixture(scope="module")
def keda_plane(kserve_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane with KEDA's ScaledObject too."""
    with keda.installed(kserve_plane):
        yield kserve_plane


@pytest.fixture
def keda_operator(keda_plane: ControlPlane, operator: RunningOperator) -> RunningOperator:
    """An operator that has found KEDA at its start."""
    assert keda_plane
    return operator


def deployed(model: Model) -> int:
    """The number of replicas that the Deployment wants."""
    number: int = model.kube.get(model.kserve.deployment_path)["spec"]["replicas"]
    return number


def reconciles() -> float:
    """Looks at models that operators have finished in this process."""
    return REGISTRY.get_sample_value("squeeze_operator_reconciles_total", {"result": "succeeded"}) or 0


@pytest.mark.usefixtures("keda_operator")
def test_a_model_by_utilization_gets_a_scaled_object_that_it_owns(model: Make) -> None:
    digits, its = serving(model, metric="utilization", target=60)
    found = its.made()
    assert owners(found) == ["SqueezeModel"]
    assert its.autoscaler() is None, "the operator makes no autoscaler beside KEDA's"
    digits.wait("Scaling", "False", "AutoscalerStarting")
    its.reconcile()
    its.measured()
    assert "60 % of the pictures" in digits.wait("Scaling", "True", "FollowsLoad")["message"]
    digits.wait("Ready", "True")
    its.measured("False", "FailedGetExternalMetric", "the result is empty")
    message = digits.wait("Scaling", "False", "MetricsMissing")["message"]
    assert "the result is empty" in message
    assert digits.condition("Ready")["status"] == "True"
    its.measured()
    digits.wait("Scaling", "True", "FollowsLoad")


@pytest.mark.usefixtures("keda_operator")
def test_a_scaled_object_edited_or_deleted_by_hand_comes_back(model: Make) -> None:
    digits, its = serving(model, metric="latency", target=250)
    found = its.made()
    its.reconcile()
    digits.kube.patch(its.object_path, {"spec": {"minReplicaCount": 0, "idleReplicaCount": 0}})
    eventually(lambda: its.made()["spec"]["minReplicaCount"] == 2, "the minimum is as before")
    digits.kube.delete(its.object_path)
    its.reconcile()
    uid = found["metadata"]["uid"]
    eventually(lambda: its.made()["metadata"]["uid"] != uid, "a new ScaledObject")


@pytest.mark.usefixtures("keda_operator")
def test_every_change_of_metric_keeps_the_replicas_and_ends_with_one_autoscaler(model: Make) -> None:
    digits, its = serving(model, 4, metric="cpu")
    eventually(lambda: owners(its.autoscaler()) == ["SqueezeModel"], "the autoscaler by CPU")
    for metric, target in (("utilization", None), ("latency", 250), ("cpu", None), ("latency", 100)):
        digits.change(scaling={"metric": metric, "target": target})

        def right(by_keda: bool = metric != "cpu", threshold: str = str(target or 70)) -> bool:
            its.reconcile()
            found = its.scaled_object()
            if not by_keda:
                return found is None and owners(its.autoscaler()) == ["SqueezeModel"]
            first = found["spec"]["triggers"][0]["metadata"] if found else {}
            return first.get("threshold") == threshold and its.scales()

        eventually(right, f"{metric} scales", timeout=60)
        its.measured()
        digits.wait("Scaling", "True", "FollowsLoad")
        assert deployed(digits) == 4
    assert digits.condition("Ready")["status"] == "True"


@pytest.mark.usefixtures("keda_operator")
def test_a_keda_that_is_down_cannot_hold_a_model_back(model: Make) -> None:
    digits, its = serving(model, 3, metric="utilization")
    its.made()
    its.reconcile()
    digits.change(scaling={"metric": "cpu"})
    eventually(lambda: owners(its.autoscaler()) == ["SqueezeModel"], "the autoscaler by CPU", timeout=60)
    assert its.made()["metadata"]["deletionTimestamp"], "KEDA has not let go of it yet"
    its.measured()
    digits.wait("Scaling", "True", "FollowsLoad")
    its.reconcile()
    assert its.scaled_object() is None
    assert owners(its.autoscaler()) == ["SqueezeModel"]
    assert deployed(digits) == 3


@pytest.mark.usefixtures("keda_operator")
def test_a_converged_model_by_keda_costs_no_write(model: Make) -> None:
    digits, its = serving(model, metric="latency", target=250)
    its.made()
    its.reconcile()
    its.measured()
    digits.wait("Scaling", "True", "FollowsLoad")
    digits.wait("Ready", "True")
    before, looks = written(), reconciles()
    # KEDA notes the time of the last load every half minute.
    status = {"status": {"lastActiveTime": "2026-11-27T12:00:00Z"}}
    digits.kube.patch(f"{its.object_path}/status", status)
    digits.kube.patch(digits.path, {"metadata": {"annotations": {"look": "again"}}})
    eventually(lambda: reconciles() > looks, "a look")
    assert written() == before


@pytest.mark.usefixtures("keda_operator")
def test_a_foreign_scaled_object_of_the_models_name_is_never_touched(model: Make) -> None:
    digits = model()
    its = Keda(digits)
    trigger = {"type": "cron", "metadata": {"timezone": "UTC"}}
    spec = {"scaleTargetRef": {"name": "theirs"}, "triggers": [trigger]}
    body = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "digits"}}
    foreign = digits.kube.create(its.objects, body | {"spec": spec})
    digits.create(scaling={"metric": "utilization"})
    digits.kserve.serve(2)
    assert "delete that ScaledObject" in digits.wait("Scaling", "False", "NameTaken")["message"]
    digits.change(scaling={"metric": "cpu"})
    eventually(lambda: owners(its.autoscaler()) == ["SqueezeModel"], "the autoscaler by CPU")
    assert its.made()["metadata"] == foreign["metadata"]
