"""Fixtures that the integration tests share."""

from collections.abc import Iterator

import pytest
from integration import memory_guard
from integration.apiserver import ControlPlane, binary, running_control_plane


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real API server with the SqueezeModel CRD; KServe's CRDs are not there yet."""
    try:
        for name in ("etcd", "kube-apiserver"):
            binary(name)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    with running_control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


def pytest_sessionstart() -> None:
    """Before any test takes memory."""
    memory_guard.start()
