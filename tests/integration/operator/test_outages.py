"""The operator against a cluster that is not complete, or not there for a while."""

from collections.abc import Iterator
from typing import Any

import pytest
from integration.apiserver import ControlPlane, eventually, running_control_plane
from integration.kserve import kserve_crd
from integration.operator_runner import Model, RunningOperator, grant


@pytest.fixture(scope="module")
def bare_plane(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane of this module's own, without KServe; skipped where the shared one is."""
    assert control_plane.port
    with running_control_plane(tmp_path_factory.mktemp("bare")) as plane:
        grant(plane)
        yield plane


@pytest.fixture(scope="module")
def lone_operator(bare_plane: ControlPlane) -> Iterator[RunningOperator]:
    """An operator that lives through all the outages of this module."""
    running = RunningOperator(bare_plane.folder / "operator.kubeconfig", audit_seconds=3.0)
    running.start()
    yield running
    running.stop()


def test_kserve_may_arrive_after_the_operator(
    bare_plane: ControlPlane, lone_operator: RunningOperator
) -> None:
    digits = Model(bare_plane.client(), "default", "digits")
    digits.create()
    assert "install KServe" in digits.wait("Stalled", "True", "KServeMissing")["message"]
    assert lone_operator.health.not_alive() is None
    bare_plane.install_crds(kserve_crd())
    digits.kserve.service()
    digits.wait("Stalled", "False", timeout=40)


def test_every_kind_is_watched_even_where_kopf_has_missed_one(lone_operator: RunningOperator) -> None:
    """The names are kopf's own: this test fails when a kopf of another version names its tasks otherwise."""
    wanted = {
        "deployments",
        "horizontalpodautoscalers",
        "inferenceservices",
        "jobs",
        "networkpolicies",
        "poddisruptionbudgets",
        "pods",
        "squeezemodels",
        "squeezetrainings",
    }

    def kinds() -> set[str]:
        names = lone_operator.health.watchers
        return {name.removeprefix("watcher for ").partition(".")[0] for name in names}

    eventually(lambda: kinds() == wanted, "all kinds are watched", timeout=90)
    assert lone_operator.health.not_alive() is None


def test_an_api_server_that_restarts_is_found_again(
    bare_plane: ControlPlane, lone_operator: RunningOperator
) -> None:
    digits = Model(bare_plane.client(), "default", "digits")
    bare_plane.stop_process("kube-apiserver")
    bare_plane.start_apiserver()
    assert lone_operator.health.not_alive() is None, "an API server that is away is no reason to restart"
    digits = Model(bare_plane.client(), "default", "digits")
    digits.change(scaling={"maxReplicas": 8})
    eventually(lambda: _predictor(digits)["maxReplicas"] == 8, "the change is acted on", timeout=60)
    eventually(lambda: lone_operator.health.not_ready() is None, "ready again", timeout=60)


def _predictor(model: Model) -> dict[str, Any]:
    predictor: dict[str, Any] = model.kserve.service()["spec"]["predictor"]
    return predictor


def test_kserve_may_go_and_come_back(bare_plane: ControlPlane, lone_operator: RunningOperator) -> None:
    digits = Model(bare_plane.client(), "default", "digits")
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    digits.kube.delete(f"{crds}/inferenceservices.serving.kserve.io")
    digits.wait("Stalled", "True", "KServeMissing", timeout=90)
    assert lone_operator.health.not_alive() is None
    eventually(
        lambda: digits.kube.get(f"{crds}/inferenceservices.serving.kserve.io") is None, "it is gone", 60
    )
    eventually(
        lambda: not any("inferenceservices" in name for name in lone_operator.health.watchers),
        "nobody waits for its watcher",
        timeout=90,
    )
    bare_plane.install_crds(kserve_crd())
    digits.kserve.service()
    digits.wait("Stalled", "False", timeout=60)
