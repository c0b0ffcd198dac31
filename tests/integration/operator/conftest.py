"""A running operator and models for it."""

from collections.abc import Callable, Iterator

import pytest
from integration.apiserver import ControlPlane
from integration.kserve import kserve_crd
from integration.operator_runner import MODELS, Model, RunningOperator, grant


@pytest.fixture(scope="session")
def kserve_plane(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with KServe's official InferenceService CRD and the operator's rights."""
    control_plane.install_crds(kserve_crd())
    grant(control_plane)
    return control_plane


@pytest.fixture
def operator(kserve_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[RunningOperator]:
    """A running operator; an indirect parameter holds settings of the test's own."""
    running = RunningOperator(kserve_plane.folder / "operator.kubeconfig", **getattr(request, "param", {}))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def model(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Callable[..., Model]]:
    """Makes models in a namespace of the test's own, and removes them afterwards."""
    kube = control_plane.client()
    namespace = f"t{abs(hash(request.node.nodeid)) % 10**10}"
    kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    yield lambda name="digits": Model(kube, namespace, name)
    kube.delete(MODELS.format(namespace))
