"""Nothing that a measurement starts outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
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
    command = [sys.executable, "-c", MEASUREMENT, FAMILY, str(tmp_path / "log")]
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


def test_what_a_crashed_server_leaves_behind_ends_too(tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    with processes.running([sys.executable, "-c", code], {}, tmp_path / "log") as server:
        while server.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.05)
        (left,) = [one for one in psutil.process_iter() if _in_session(one, server.pid)]
    assert psutil.wait_procs([left], timeout=10)[1] == []


def _in_session(one: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(one.pid) == session and one.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
