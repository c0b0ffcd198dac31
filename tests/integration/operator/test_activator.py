"""The activator's process against a real API server: it follows endpoints, holds, hands on, and ends well."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from integration.activator_process import own_address, replica, running, slice_of
from integration.apiserver import ControlPlane, eventually

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


@pytest.fixture
def slices(kserve_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A model whose Service has no endpoint."""
    kube = kserve_plane.client()
    kube.create(SLICES, slice_of("digits"))
    yield kserve_plane
    kube.delete(f"{SLICES}/digits-predictor-x")


def test_a_request_that_waits_is_answered_though_the_activator_is_told_to_end(slices: ControlPlane) -> None:
    address, kube = own_address(), slices.client()
    with (
        replica(address) as port,
        running(slices.folder / "operator.kubeconfig", port) as activator,
        ThreadPoolExecutor() as pool,
    ):
        asked = pool.submit(activator.ask, "default", "digits", b"7")
        eventually(lambda: activator.held("default", "digits") == 1, "it is held")
        activator.process.terminate()
        eventually(lambda: not accepts(activator.port), "it takes no more")
        kube.patch(f"{SLICES}/digits-predictor-x", {"endpoints": slice_of("digits", address)["endpoints"]})
        answer = asked.result(60)
        assert (answer.status_code, answer.content) == (200, b"7")
        assert activator.process.wait(30) == 0


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
