"""An API server of the chart's own: its tests install and delete the CRDs that the others rely on."""

import shutil
from collections.abc import Iterator

import pytest
from integration.apiserver import ControlPlane, binary
from integration.chart.release import CRD, TRAINING_CRD, ApiServer, Helm
from integration.kserve import kserve_crd
from unit.chart.chart_rendering import NAMESPACE


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A cluster without nodes and without the project's CRDs.

    It has the release's namespace, under the restricted standard, and those that the scenarios name.
    """
    try:
        for name in ("etcd", "kube-apiserver", "kubectl"):
            binary(name)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    plane = ControlPlane(tmp_path_factory.mktemp("chart-api-server"))
    try:
        plane.start()
        server = ApiServer(plane)
        for name in (NAMESPACE, "team-a", "team-b"):
            server.kubectl("create", "namespace", name)
        for mode in ("enforce", "warn"):
            server.kubectl("label", "namespace", NAMESPACE, f"pod-security.kubernetes.io/{mode}=restricted")
        yield server
    finally:
        plane.stop()
        shutil.rmtree(plane.folder / "etcd", ignore_errors=True)


@pytest.fixture(scope="session")
def kserve(api_server: ApiServer) -> None:
    """KServe's InferenceService CRD."""
    api_server.plane.install_crds(kserve_crd())


@pytest.fixture
def helm(api_server: ApiServer) -> Iterator[Helm]:
    """Helm in the release's namespace; whatever a test leaves behind is removed."""

    def run(*arguments: str, check: bool = True) -> str:
        return api_server.helm(*arguments, "--namespace", NAMESPACE, check=check)

    yield run
    for release in run("list", "--short").split():
        run("uninstall", release)
    api_server.kubectl("delete", "crd", CRD, TRAINING_CRD, "--ignore-not-found")
