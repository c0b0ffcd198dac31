"""What becomes of a test that takes all memory."""

import subprocess
import sys
from pathlib import Path

import psutil

PROGRAM = """
import subprocess, sys, time
from integration import memory_guard
memory_guard.start(limit=300 * 2**20)
child = subprocess.Popen([sys.executable, "-c", "import time; kept = b'x' * (400 * 2**20); time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_process_whose_child_takes_too_much_ends_with_it_and_says_where_it_was() -> None:
    tests = Path(__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tests, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "take over 0.3 GiB" in ended.stderr
    assert "most recent call first" in ended.stderr
    assert not psutil.pid_exists(int(ended.stdout))
