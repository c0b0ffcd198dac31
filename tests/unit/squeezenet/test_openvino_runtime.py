"""A process that has used OpenVINO lives through a signal."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = """
import gc, os, signal, threading
from squeezenet import artifact
from squeezenet.engines.openvino_engine import OpenVINOEngine

digits = artifact.load("builtin:digits")
handled = []
signal.signal(signal.SIGUSR1, lambda *_: handled.append(True))
"""
END = """
gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
assert handled == [True]
"""
USES = {
    "engines that end in the order in which they began": """
        first, second = OpenVINOEngine(digits), OpenVINOEngine(digits)
        del first
        gc.collect()
        del second
    """,
    "an engine that another thread drops": """
        kept = [OpenVINOEngine(digits)]
        thread = threading.Thread(target=kept.clear)
        thread.start()
        thread.join()
    """,
}


@pytest.mark.parametrize("use", USES)
def test_a_signal_is_handled_after(use: str) -> None:
    lines = "\n".join(line.strip() for line in USES[use].splitlines())
    done = subprocess.run(
        [sys.executable, "-c", START + lines + END], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


AT_ONCE = """
import os, sys, threading
import numpy as np
from squeezenet import artifact
from squeezenet.engines.openvino_engine import OpenVINOEngine

sys.setswitchinterval(1e-6)
engine = OpenVINOEngine(artifact.load("builtin:digits"), 8, 8)
square = np.zeros((1, engine._input.crop, engine._input.crop, 3), np.uint8)
together = threading.Barrier(8)
answered = []

def ask():
    together.wait()
    answered.append(engine.classify_pixels(square))

threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
# The interpreter's own end would wait for a thread that holds its lock.
os._exit(len(answered) != 8)
"""


def test_the_first_pictures_of_a_process_may_come_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], check=False, timeout=120)
    assert done.returncode == 0, "threads wait for each other"
