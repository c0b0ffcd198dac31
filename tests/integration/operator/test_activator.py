"""The activator's process against a real API server: it follows endpoints, holds, hands on, and ends well."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from integration.apiserver import ControlPlane, eventually, free_port

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
HEADERS = {"KServe-Isvc-Name": "digits", "KServe-Isvc-Namespace": "default"}


def own_address() -> str:
    """An address of this machine that an EndpointSlice may hold, which none of the loopback is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@contextmanager
def replica(address: str) -> Iterator[int]:
    """Something that answers in the place of a predictor."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = HTTPServer((address, 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def slice_of(model: str, *addresses: str) -> dict[str, Any]:
    """The slice that the endpoint controller makes for a model's Service."""
    labels = {"kubernetes.io/service-name": f"{model}-predictor", "squeezeserve.io/model": model}
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    metadata = {"name": f"{model}-predictor-x", "labels": labels}
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": []}


@pytest.fixture
def slices(kserve_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A model whose Service has no endpoint."""
    kube = kserve_plane.client()
    kube.create(SLICES, slice_of("digits"))
    yield kserve_plane
    kube.delete(f"{SLICES}/digits-predictor-x")


def test_a_request_that_waits_is_answered_though_the_activator_is_told_to_end(slices: ControlPlane) -> None:
    address, kube = own_address(), slices.client()
    ports = {name: free_port() for name in ("port", "report-port", "health-port")}
    url, reports, pages = (f"http://127.0.0.1:{port}" for port in ports.values())
    with replica(address) as replica_port, ThreadPoolExecutor() as pool:
        flags = [f"--{name}={port}" for name, port in (ports | {"replica-port": replica_port}).items()]
        process = subprocess.Popen(
            [sys.executable, "-m", "squeeze_operator.activator", *flags],
            env=os.environ | {"KUBECONFIG": str(slices.folder / "operator.kubeconfig"), "POD_ID": "a"},
        )
        try:
            eventually(lambda: ok(f"{pages}/readyz"), "it is ready", timeout=60)

            def ask() -> httpx.Response:
                return httpx.post(url, content=b"7", headers=HEADERS, timeout=60, trust_env=False)

            held = f"{reports}/held/default/digits"
            asked = pool.submit(ask)
            eventually(lambda: httpx.get(held, trust_env=False).json() == {"held": 1}, "it is held")
            process.terminate()
            eventually(lambda: not accepts(ports["port"]), "it takes no more")
            kube.patch(
                f"{SLICES}/digits-predictor-x", {"endpoints": slice_of("digits", address)["endpoints"]}
            )
            answer = asked.result(60)
            assert (answer.status_code, answer.content) == (200, b"7")
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


def ok(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
