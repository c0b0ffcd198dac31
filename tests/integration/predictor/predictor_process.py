"""Runs the real server as a process, for tests."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

# A shared machine may be ten times slower than an idle one; nothing here measures speed.
START_SECONDS = 180.0


@dataclass
class Predictor:
    """A started server; `folder` holds its output and termination log."""

    process: subprocess.Popen[bytes]
    folder: Path
    name: str
    url: str = ""

    @property
    def log(self) -> str:
        """Everything it wrote to stderr."""
        return (self.folder / "stderr").read_text()

    @property
    def output(self) -> str:
        """Everything it wrote to stdout."""
        return (self.folder / "stdout").read_text()

    @property
    def reason(self) -> str:
        """Its termination message."""
        path = self.folder / "termination"
        return path.read_text() if path.exists() else ""

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    def wait_until_ready(self) -> None:
        """Wait for the line it prints once it is ready."""
        end = time.monotonic() + START_SECONDS
        while not (found := re.search(r"ready at (http://\S+)", self.output)):
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log}"
            assert time.monotonic() < end, f"not ready: {self.log}"
            time.sleep(0.05)
        self.url = found[1]

    def client(self) -> httpx.Client:
        """A client of its own, with patience for a slow machine."""
        return httpx.Client(base_url=self.url, timeout=120)

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


PROGRAM = ("-m", "squeeze_predictor")


def start(
    folder: Path,
    *flags: str,
    name: str = "digits",
    env: dict[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
) -> Predictor:
    """Start the server with a free port; returns at once. `program` is what Python runs."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        *program,
        "--host=127.0.0.1",
        "--port=0",
        "--grpc-port=0",
        f"--model-name={name}",
        *flags,
    ]
    variables = {**os.environ, "SQUEEZE_TERMINATION_LOG": str(folder / "termination"), **(env or {})}
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=variables)
    return Predictor(process, folder, name)


@contextmanager
def running(
    folder: Path,
    *flags: str,
    name: str = "digits",
    env: dict[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
) -> Iterator[Predictor]:
    """A ready server, ended afterwards."""
    predictor = start(folder, *flags, name=name, env=env, program=program)
    try:
        predictor.wait_until_ready()
        yield predictor
    finally:
        if predictor.process.poll() is None:
            predictor.process.kill()
            predictor.process.wait()


@contextmanager
def loading(folder: Path, *flags: str) -> Iterator[Predictor]:
    """A server whose model does not come: its weights are behind a proxy that never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        env = dict.fromkeys(names, proxy) | {"TORCH_HOME": str(folder / "cache"), "NO_PROXY": "127.0.0.1"}
        predictor = start(folder, "--weights=torchvision://squeezenet1_1", *flags, env=env)
        try:
            yield predictor
        finally:
            predictor.process.kill()
            predictor.process.wait()
