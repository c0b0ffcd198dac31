"""The program itself: `python -m squeeze_operator`, its pages, its signals and its exit codes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from integration.apiserver import ControlPlane, eventually, free_port
from integration.operator_runner import Model


class Process:
    """The operator as a program of its own."""

    def __init__(self, kubeconfig: Path, folder: Path, *flags: str) -> None:
        self.health, self.metrics = free_port(), free_port()
        self.log = folder / "operator.log"
        arguments = [f"--health-port={self.health}", f"--metrics-port={self.metrics}", "--log-format=json"]
        # A proxy that answers nothing: the API server must be reached without it.
        environment = os.environ | {"KUBECONFIG": str(kubeconfig), "HTTPS_PROXY": "http://127.0.0.1:9"}
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "squeeze_operator", "--predictor-image=p:1", *arguments, *flags],
                env=environment,
                stderr=log,
            )

    def page(self, path: str) -> int:
        """The code of a health page; 0 before it is served."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.health}{path}", trust_env=False).status_code
        except httpx.TransportError:
            return 0


@pytest.fixture
def process(kserve_plane: ControlPlane, tmp_path: Path) -> Iterator[Process]:
    """A running operator process that serves one namespace only."""
    kube = kserve_plane.client()
    kube.create("/api/v1/namespaces", {"metadata": {"name": "served"}})
    running = Process(kserve_plane.folder / "operator.kubeconfig", tmp_path, "--namespace=served")
    yield running
    running.child.kill()
    running.child.wait(10)


def test_the_program_serves_its_namespace_and_stops_on_sigterm(
    kserve_plane: ControlPlane, process: Process
) -> None:
    eventually(lambda: process.page("/readyz") == 200, "it is ready", timeout=60)
    assert process.page("/livez") == 200
    inside, outside = (Model(kserve_plane.client(), space, "mine") for space in ("served", "default"))
    outside.create()
    inside.create()
    inside.kserve.service()
    assert kserve_plane.client().get(outside.kserve.service_path) is None
    text = httpx.get(f"http://127.0.0.1:{process.metrics}/metrics", trust_env=False).text
    assert 'squeeze_operator_writes_total{kind="InferenceService"} 1.0' in text
    process.child.send_signal(signal.SIGTERM)
    assert process.child.wait(20) == 0, process.log.read_text()
    assert '"level": "ERROR"' not in process.log.read_text()


def test_without_a_cluster_it_says_so(tmp_path: Path) -> None:
    lost = Process(tmp_path / "none", tmp_path)
    assert lost.child.wait(60) == 2
    assert "set KUBECONFIG" in lost.log.read_text()
