"""The operator with the lowest versions that its metadata allows; every other test runs with the highest."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from integration.apiserver import REPOSITORY, ControlPlane, eventually
from integration.faultproxy import FaultProxy
from integration.operator_process import Process
from integration.operator_runner import Model
from squeeze_cluster.paths import CACHE

LOCK = REPOSITORY / "requirements" / "operator-lowest.lock"


@pytest.fixture
def lowest_python() -> Path:
    """The interpreter of an environment with those versions, made once."""
    version = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = CACHE / "operator-lowest" / version
    uv, environment = str(Path(sys.executable).with_name("uv")), os.environ | {"UV_CACHE_DIR": f"{CACHE}/uv"}
    if not (folder / "complete").exists():
        for command in (
            ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--python",
                f"{folder}/bin/python",
                "-r",
                str(LOCK),
            ],
        ):
            subprocess.run([uv, *command], check=True, env=environment)
        (folder / "complete").touch()
    return folder / "bin" / "python"


@pytest.fixture
def proxy(kserve_plane: ControlPlane) -> Iterator[FaultProxy]:
    """A proxy that leads to the API server."""
    running = FaultProxy(kserve_plane)
    running.start()
    yield running
    running.stop()


def test_it_serves_a_model_and_its_health_page_answers_while_the_api_server_does_not(
    kserve_plane: ControlPlane, proxy: FaultProxy, lowest_python: Path, tmp_path: Path
) -> None:
    kubeconfig = proxy.kubeconfig(tmp_path / "proxy.kubeconfig")
    running = Process(kubeconfig, tmp_path, "--namespace=default", python=lowest_python)
    try:
        eventually(lambda: running.page("/readyz") == 200, "it is ready", timeout=120)
        lowest = Model(kserve_plane.client(), "default", "lowest")
        lowest.create()
        lowest.kserve.serve()
        lowest.wait("Serving", "True")
        proxy.held, before = True, len(proxy.requests)
        lowest.change(batching={"queueSize": 6})
        eventually(lambda: len(proxy.requests) > before, "a reconcile waits for an answer")
        page = f"http://127.0.0.1:{running.health}/livez"
        assert httpx.get(page, trust_env=False, timeout=1).status_code == 200
        proxy.held = False
        lowest.kube.delete(lowest.path)
    finally:
        proxy.held = False
        running.child.kill()
        running.child.wait(10)
    assert '"level": "ERROR"' not in running.log.read_text()
