"""Image references, and a real HTTP server in the part of a public registry."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from squeeze_cluster import sources
from squeeze_cluster.settings import Settings


@pytest.mark.parametrize(
    ("reference", "registry", "path"),
    [
        ("registry.k8s.io/pause:3.10", "registry.k8s.io", "pause:3.10"),
        ("kserve/kserve-controller:v0.20.0", "docker.io", "kserve/kserve-controller:v0.20.0"),
        ("debian:trixie-slim", "docker.io", "library/debian:trixie-slim"),
        ("localhost:5001/squeezeserve/operator:1", "localhost:5001", "squeezeserve/operator:1"),
        ("docker.io/envoyproxy/gateway:v1", "docker.io", "envoyproxy/gateway:v1"),
    ],
)
def test_split_reference(reference: str, registry: str, path: str) -> None:
    assert sources.split_reference(reference) == (registry, path)


class _Registry(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(params=[200, 401, 404, 503])
def registry(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    handler = type("Handler", (_Registry,), {"status": request.param})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", request.param
        server.shutdown()


def test_a_registry_answers_if_it_speaks_the_api(registry: tuple[str, int]) -> None:
    host, status = registry
    assert sources.answers(host) is (status in {200, 401})


def test_a_silent_registry_is_given_up_within_seconds() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        assert not sources.answers(f"127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - began < 3 * sources.PROBE_SECONDS


def test_airgap_asks_nobody() -> None:
    assert not sources.pull("registry.k8s.io/pause:3.10", Settings(airgap=True))
