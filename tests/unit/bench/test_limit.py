"""Every engine of the limit computes the network, and nothing but answers reaches standard output."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import count

from squeezenet import artifact as artifacts
from squeezenet.preprocess import to_pixels

from bench import limit, pictures, processes

DIGITS = "builtin://digits"


def test_engines_answer_as_the_reference_does() -> None:
    artifact = artifacts.load(DIGITS)
    found = {
        name: limit.difference(artifact, infer, pictures.digit())
        for name, infer in limit.engines(artifact).items()
    }
    assert found.keys() == {"OpenVINO", "ONNX Runtime", "MNN"}
    assert max(found.values()) < 1e-4, found


def test_engines_keep_no_memory_of_the_picture_before() -> None:
    """An engine that hands out its own buffer would change an answer that was given already."""
    artifact = artifacts.load(DIGITS)
    pixels = to_pixels(limit.ours(pictures.digit().data), artifact.config.input)[None]
    for name, infer in limit.engines(artifact).items():
        first = infer(pixels)
        before = first.copy()
        infer(255 - pixels)
        assert (first == before).all(), name


def test_standard_output_holds_answers_alone() -> None:
    """MNN prints when it is imported and when it converts."""
    code = (
        "import bench.limit as limit, os\n"
        "output = limit.answers_only()\n"
        "from squeezenet import artifact\n"
        f"limit.engines(artifact.load('{DIGITS}'))\n"
        "os.write(1, b'noise')\n"
        "print('answer', file=output)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=processes.variables({}), capture_output=True, text=True, check=True
    )
    assert done.stdout == "answer\n"
    assert "noise" in done.stderr


def test_a_stall_of_the_loop_shows_in_all_that_was_due_meanwhile() -> None:
    calls = count()

    def stalls_once() -> None:
        if next(calls) == 10:
            time.sleep(0.3)

    latencies = limit.by_the_clock(stalls_once, seconds=0.6, per_second=100)
    assert len(latencies) == 60
    assert sum(latency > 0.1 for latency in latencies) >= 15
