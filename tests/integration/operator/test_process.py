"""The program itself: `python -m squeeze_operator`, its pages, its signals and its exit codes."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from integration.apiserver import ControlPlane, eventually
from integration.operator_process import Process
from integration.operator_runner import Model


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
