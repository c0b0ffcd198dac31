"""Runs helm and kubectl against the API server of the chart's tests."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from integration.apiserver import ControlPlane, binary
from unit.chart.chart_rendering import helm_program

CRD, TRAINING_CRD = "squeezemodels.squeezeserve.io", "squeezetrainings.squeezeserve.io"
Helm = Callable[..., str]
"""Runs helm in the release's namespace; `check=False` lets it fail."""


@dataclass(frozen=True)
class ApiServer:
    """Runs helm and kubectl as a cluster administrator."""

    plane: ControlPlane

    def helm(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """Run helm; see `_run`."""
        return self._run(helm_program(), *arguments, stdin=stdin, check=check)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl; see `_run`."""
        return self._run(str(binary("kubectl")), *arguments, stdin=stdin, check=check)

    def _run(self, program: str, *arguments: str | Path, stdin: str | None, check: bool) -> str:
        """The standard output of a success; with check=False, all output of whatever came."""
        environment = os.environ | {"KUBECONFIG": str(self.plane.kubeconfig)}
        command = [program, *map(str, arguments)]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, check=False
        )
        if not check:
            return done.stdout + done.stderr
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout
