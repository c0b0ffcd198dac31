"""An API server of the chart's own: its tests install and delete the CRD that the others rely on."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from integration.apiserver import ControlPlane, binary
from unit.chart.chart_rendering import helm_program


@dataclass(frozen=True)
class ApiServer:
    """Runs helm and kubectl as a cluster administrator."""

    kubeconfig: Path

    def helm(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """Run helm; see `_run`."""
        return self._run(helm_program(), *arguments, stdin=stdin, check=check)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl; see `_run`."""
        return self._run(str(binary("kubectl")), *arguments, stdin=stdin, check=check)

    def _run(self, program: str, *arguments: str | Path, stdin: str | None, check: bool) -> str:
        """The standard output of a success; with check=False, all output of whatever came."""
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        command = [program, *map(str, arguments)]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, check=False
        )
        if not check:
            return done.stdout + done.stderr
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An empty cluster without nodes and without the SqueezeModel CRD."""
    try:
        for name in ("etcd", "kube-apiserver", "kubectl"):
            binary(name)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    plane = ControlPlane(tmp_path_factory.mktemp("chart-api-server"))
    try:
        plane.start()
        yield ApiServer(plane.kubeconfig)
    finally:
        plane.stop()
        shutil.rmtree(plane.folder / "etcd", ignore_errors=True)
