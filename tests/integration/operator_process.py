"""The operator as a program of its own."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
from integration.apiserver import REPOSITORY, free_port


class Process:
    """`python -m squeeze_operator` with these flags; its log is in the folder.

    `python` is the interpreter of an environment with the operator's dependencies, by default this one's.
    """

    def __init__(
        self, kubeconfig: Path, folder: Path, *flags: str, python: Path = Path(sys.executable)
    ) -> None:
        self.health, self.metrics = free_port(), free_port()
        self.log = folder / "operator.log"
        arguments = [f"--health-port={self.health}", f"--metrics-port={self.metrics}", "--log-format=json"]
        # A proxy that answers nothing: the API server must be reached without it.
        environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "PYTHONPATH": str(REPOSITORY / "operator"),
        }
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                [str(python), "-m", "squeeze_operator", "--predictor-image=p:1", *arguments, *flags],
                env=environment,
                stderr=log,
            )

    def page(self, path: str) -> int:
        """The code of a health page; 0 before it is served."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.health}{path}", trust_env=False).status_code
        except httpx.TransportError:
            return 0
