"""The cgroup that limits a server, made by this machine's own kernel."""

from __future__ import annotations

import subprocess
import sys

from bench import processes, throttling

BUSY = """
import time
from squeeze_predictor import quota

end = time.monotonic() + 0.5
while time.monotonic() < end:
    pass
print(quota.cpu_quota())
"""


def test_a_process_in_it_is_held_to_one_cpu_and_the_cgroup_goes_away() -> None:
    with throttling.one_cpu() as folder:
        command = ["sh", "-c", throttling.ENTER, str(folder / "cgroup.procs"), sys.executable, "-c", BUSY]
        ran = subprocess.run(
            command, env=processes.variables({}), check=True, capture_output=True, text=True, timeout=60
        )
        assert float(ran.stdout) == 1.0
        assert throttling.stopped(folder).periods > 0
    assert not folder.exists()
