"""Runs the real activator as a process, for tests, and something that answers in the place of a predictor."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
from integration.apiserver import answers, eventually, free_port


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


@dataclass
class Activator:
    """A started activator that is ready; `port` takes requests, `reports` has its metrics."""

    process: subprocess.Popen[bytes]
    port: int
    reports: int

    def ask(self, namespace: str, model: str, body: bytes) -> httpx.Response:
        """A request to a model, as the gateway hands it on."""
        headers = {"KServe-Isvc-Name": model, "KServe-Isvc-Namespace": namespace}
        url = f"http://127.0.0.1:{self.port}"
        return httpx.post(url, content=body, headers=headers, timeout=60, trust_env=False)

    def held(self, namespace: str, model: str) -> int:
        """How many requests to a model wait."""
        url = f"http://127.0.0.1:{self.reports}/held/{namespace}/{model}"
        return int(httpx.get(url, trust_env=False).json()["held"])


@contextmanager
def running(kubeconfig: Path, replica_port: int) -> Iterator[Activator]:
    """An activator that hands requests on to this port of a model's endpoints."""
    ports = {name: free_port() for name in ("port", "report-port", "health-port")}
    flags = [f"--{name}={port}" for name, port in (ports | {"replica-port": replica_port}).items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "squeeze_operator.activator", *flags],
        env=os.environ | {"KUBECONFIG": str(kubeconfig), "POD_ID": "a"},
    )
    try:
        page = f"http://127.0.0.1:{ports['health-port']}/readyz"
        eventually(lambda: answers(page), "the activator is ready", timeout=60)
        yield Activator(process, ports["port"], ports["report-port"])
    finally:
        process.kill()
        process.wait()
