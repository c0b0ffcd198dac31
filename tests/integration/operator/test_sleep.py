"""Models that sleep, on a real API server: who stands in when, and what KEDA may do when."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from integration import keda
from integration.apiserver import ControlPlane, eventually
from integration.keda import Keda, owners
from integration.operator_checks import written
from integration.operator_runner import Model, RunningOperator
from squeeze_operator.names import Key

Make = Callable[..., Model]
ACTIVATOR = Key("default", "activator")
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
SCALING = {"minReplicas": 0, "maxReplicas": 3, "metric": "utilization"}
PODS = ["10.9.0.1", "10.9.0.2"]
NEWER = "registry.example/predictor:2"

pytestmark = [
    pytest.mark.parametrize("operator", [{"activator": ACTIVATOR}], indirect=True),
    pytest.mark.usefixtures("sleep_operator"),
]


@pytest.fixture(scope="module")
def sleep_plane(kserve_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane with KEDA's ScaledObject, and the slice of an activator with two pods."""
    labels = {"kubernetes.io/service-name": ACTIVATOR.name, "squeezeserve.io/activator": "pods"}
    body = {"metadata": {"name": "activator-1", "labels": labels}, "addressType": "IPv4"}
    kube = kserve_plane.client()
    with keda.installed(kserve_plane):
        kube.create(SLICES.format(ACTIVATOR.namespace), body | {"endpoints": ends(PODS), "ports": []})
        yield kserve_plane
        kube.delete(f"{SLICES.format(ACTIVATOR.namespace)}/activator-1")


@pytest.fixture
def sleep_operator(sleep_plane: ControlPlane, operator: RunningOperator) -> RunningOperator:
    """An operator that has found KEDA and the activator at its start."""
    assert sleep_plane
    return operator


def ends(addresses: list[str]) -> list[dict[str, Any]]:
    """Endpoints of a slice."""
    return [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]


def stand_ins(model: Model) -> list[str] | None:
    """The addresses of the activator behind the model's Service, or None where it does not stand there."""
    found = model.kube.get(f"{SLICES.format(model.namespace)}/{model.name}-predictor-activator")
    return None if found is None else [each for end in found["endpoints"] for each in end["addresses"]]


def count(model: Model, number: int, ready: int) -> None:
    """The Deployment is told to have so many replicas, and has so many that answer."""
    model.kube.patch(model.kserve.deployment_path, {"spec": {"replicas": number}})
    model.kserve.report(number, ready, number)


def idle(make: Make, **spec: Any) -> tuple[Model, Keda]:
    """A model with one replica that nobody asks, so that KEDA may take it."""
    digits = make()
    digits.create(scaling=SCALING, **spec)
    digits.kserve.deploy()
    digits.kube.patch(digits.kserve.deployment_path, {"spec": {"replicas": 1}})
    digits.kserve.serve(1)
    its = Keda(digits)
    its.made()
    its.reconcile()
    its.measured()
    its.sees_load(False)
    eventually(lambda: its.least() == 0, "KEDA may take the last replica")
    assert stand_ins(digits) == PODS
    return digits, its


def asleep(make: Make, **spec: Any) -> tuple[Model, Keda]:
    """A model whose last replica KEDA has taken."""
    digits, its = idle(make, **spec)
    digits.wait("Ready", "True", "Available")
    count(digits, 0, 0)
    digits.wait("Ready", "True", "Asleep")
    return digits, its


def test_a_whole_night(model: Make) -> None:
    digits, its = asleep(model)
    digits.wait("Serving", "True", "Asleep")
    digits.wait("Scaling", "True", "Asleep")
    assert [trigger["type"] for trigger in its.made()["spec"]["triggers"]] == ["metrics-api"]
    its.sees_load(True)
    count(digits, 1, 0)
    digits.wait("Ready", "True", "Waking")
    assert stand_ins(digits) == PODS
    count(digits, 1, 1)
    digits.wait("Ready", "True", "Available")
    eventually(lambda: stand_ins(digits) is None, "the replica answers by itself")
    assert its.least() == 1
    assert len(its.made()["spec"]["triggers"]) == 2


def test_who_stands_in_follows_the_activators_pods(model: Make) -> None:
    digits, _ = asleep(model)
    path = f"{SLICES.format(ACTIVATOR.namespace)}/activator-1"
    try:
        digits.kube.patch(path, {"endpoints": ends(["10.9.0.3"])})
        eventually(lambda: stand_ins(digits) == ["10.9.0.3"], "the new pod stands in")
    finally:
        digits.kube.patch(path, {"endpoints": ends(PODS)})
    eventually(lambda: stand_ins(digits) == PODS, "the others again")


def test_a_slice_that_somebody_deletes_comes_back(model: Make) -> None:
    digits, _ = asleep(model)
    digits.kube.delete(f"{SLICES.format(digits.namespace)}/digits-predictor-activator")
    eventually(lambda: stand_ins(digits) == PODS, "the activator stands in again")


def test_a_model_that_sleeps_costs_no_write(model: Make) -> None:
    digits, _ = asleep(model)
    before = written()
    digits.kube.patch(digits.path, {"metadata": {"annotations": {"look": "again"}}})
    digits.wait("Ready", "True", "Asleep")
    assert written() == before


def test_a_new_spec_is_proven_beside_the_one_of_before(model: Make) -> None:
    digits, its = asleep(model)
    digits.change(image=NEWER)
    eventually(lambda: its.least() == 1, "the old one is woken")
    digits.wait("Ready", "False", "Waking")
    assert digits.kserve.service()["spec"]["predictor"]["containers"][0]["image"] != NEWER
    count(digits, 1, 0)
    digits.wait("Serving", "True", "Waking")
    count(digits, 1, 1)

    def passed_on() -> bool:
        return bool(digits.kserve.service()["spec"]["predictor"]["containers"][0]["image"] == NEWER)

    eventually(passed_on, "the new one follows")
    digits.kserve.deploy()
    digits.kserve.report(2, 1, 1)
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    container = {"name": "kserve-container", "image": NEWER, "imageID": "", "restartCount": 0}
    digits.kserve.pod("new", containerStatuses=[container | {"ready": False, "state": state}])
    digits.wait("Stalled", "True", "ImageUnavailable")
    digits.wait("Serving", "True", "ReplicasAnswer")
    its.sees_load(False)
    assert its.least() == 1, "what is not proven never sleeps"


def test_another_metric_wakes_a_model_before_it_takes_over(model: Make) -> None:
    digits, its = asleep(model)
    digits.change(scaling={"metric": "cpu", "minReplicas": 2})
    eventually(lambda: its.least() == 2, "KEDA is told to wake it")
    assert owners(its.autoscaler()) == ["ScaledObject"]
    count(digits, 2, 0)
    eventually(lambda: its.made()["metadata"].get("deletionTimestamp"), "KEDA's goes")
    its.reconcile()
    eventually(lambda: owners(its.autoscaler()) == ["SqueezeModel"], "the autoscaler by CPU")
    count(digits, 2, 2)
    eventually(lambda: stand_ins(digits) is None, "nobody stands in any more")
