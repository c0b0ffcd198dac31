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
