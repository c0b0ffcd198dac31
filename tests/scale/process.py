"""The operator's process under measurement: its CPU time, its memory and its own metrics."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
from integration.apiserver import free_port
from prometheus_client.parser import text_string_to_metric_families

MIB = 2**20


class Operator:
    """One run of the operator's program."""

    def __init__(self, kubeconfig: Path, folder: Path, *flags: str) -> None:
        self.started_at = time.monotonic()
        self._health, self._metrics = free_port(), free_port()
        ports = [f"--health-port={self._health}", f"--metrics-port={self._metrics}"]
        command = [sys.executable, "-m", "scale.launched", "--predictor-image=registry.example/predictor:1"]
        with (folder / "operator.log").open("ab") as log:
            self.child = subprocess.Popen(
                [*command, *ports, *flags], env=os.environ | {"KUBECONFIG": str(kubeconfig)}, stderr=log
            )
        self._process = psutil.Process(self.child.pid)

    def stop(self) -> None:
        """Ends it as Kubernetes does."""
        if self.child.poll() is not None:
            return
        self.child.terminate()
        try:
            self.child.wait(60)
        finally:
            self.child.kill()

    def live(self) -> bool:
        """Whether the liveness probe passes; a process that has ended does not."""
        page = f"http://127.0.0.1:{self._health}/livez"
        try:
            return httpx.get(page, trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False

    async def seconds_to_death(self, number: signal.Signals) -> float:
        """How long after a signal the liveness probe first fails."""
        self.child.send_signal(number)
        begun = time.monotonic()
        while self.live():
            await asyncio.sleep(0.5)
        return time.monotonic() - begun

    def cpu_seconds(self) -> float:
        """CPU time since its start."""
        return _cpu(self._process)

    def memory_mib(self) -> float:
        """Resident memory."""
        return float(self._process.memory_info().rss / MIB)

    def sample(self, name: str, **labels: str) -> float:
        """One of its metrics, summed over the labels that are not given; 0 before there is an answer."""
        try:
            text = httpx.get(f"http://127.0.0.1:{self._metrics}/metrics", trust_env=False, timeout=30).text
        except httpx.TransportError:
            return 0.0
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def cpu_share(self, seconds: float) -> float:
        """The share of a core that it takes over the next seconds."""
        before, begun = self.cpu_seconds(), time.monotonic()
        await asyncio.sleep(seconds)
        return (self.cpu_seconds() - before) / (time.monotonic() - begun)


def cpu_of_others() -> dict[str, float]:
    """CPU seconds so far of this process, which plays KServe, and of the control plane."""
    mine = psutil.Process()
    found = {"player": _cpu(mine)}
    for child in mine.children():
        if child.name() in ("kube-apiserver", "etcd"):
            found[child.name()] = _cpu(child)
    return found


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
