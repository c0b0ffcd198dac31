"""Nothing that a measurement starts outlives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from bench import processes

# A server that starts another process, as most do.
FAMILY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
MEASUREMENT = """
import signal, sys, time
from pathlib import Path
from bench import processes

processes.end_all_on_sigterm()
with processes.running([sys.executable, "-c", sys.argv[1]], {}, Path(sys.argv[2])) as process:
    while not process.children():
        time.sleep(0.05)
    print(process.pid, process.children()[0].pid, flush=True)
    signal.pause()
"""


def test_servers_end_with_a_benchmark_that_is_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASUREMENT, FAMILY, tmp_path / "log"]
    with subprocess.Popen(
        command, env=processes.variables({}), stdout=subprocess.PIPE, text=True
    ) as measurement:
        assert measurement.stdout
        family = [psutil.Process(int(pid)) for pid in measurement.stdout.readline().split()]
        assert len(family) == 2
        measurement.terminate()
        measurement.wait(30)
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert len(gone) == 2, alive
