"""KEDA that is installed after the model, and removed before it."""

from collections.abc import Callable

import pytest
from integration import keda
from integration.apiserver import ControlPlane, eventually
from integration.keda import owners, serving
from integration.operator_runner import Model, RunningOperator


@pytest.mark.parametrize("operator", [{"audit_seconds": 1.0}], indirect=True)
def test_keda_may_come_later_and_go_again(
    kserve_plane: ControlPlane, operator: RunningOperator, model: Callable[..., Model]
) -> None:
    digits, its = serving(model)
    eventually(lambda: owners(its.autoscaler()) == ["SqueezeModel"], "the autoscaler by CPU")
    digits.wait("Ready", "True")
    digits.change(scaling={"metric": "latency", "target": 250})
    assert "install them" in digits.wait("Stalled", "True", "KedaMissing")["message"]
    assert digits.condition("Serving")["status"] == "True"
    assert digits.get()["status"]["effective"]["metric"] == "cpu"
    assert owners(its.autoscaler()) == ["SqueezeModel"]
    with keda.installed(kserve_plane):
        eventually(lambda: digits.kube.get(its.objects), "the API is served")
        eventually(its.scaled_object, "a ScaledObject", timeout=60)
        its.reconcile()
        digits.wait("Ready", "True")
    digits.wait("Stalled", "True", "KedaMissing", timeout=60)
    assert digits.condition("Serving")["status"] == "True"
    digits.change(scaling={"metric": "cpu", "target": None})
    eventually(lambda: owners(its.autoscaler()) == ["SqueezeModel"], "the autoscaler by CPU", timeout=60)
    assert operator.health.not_alive() is None
