"""Trainings under torchrun, with its own signals and restarts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from integration.trainer.test_trainer_processes import checkpoints, finetune
from squeezenet import artifact as artifacts
from unit.trainer import trees

PATIENCE = 200.0


@contextmanager
def torchrun(*command: str, restarts: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Two processes on this machine, and the launcher; nothing of it is left behind."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--monitor-interval=0.1"]
    process = subprocess.Popen(
        [sys.executable, *launcher, f"--max-restarts={restarts}", "-m", "squeeze_trainer", *command],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    """Reads standard error up to a line with the words."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return
    raise AssertionError("".join(lines[-30:]))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trees.tree(tmp_path_factory.mktemp("data"), classes=3, counts={"train": 11, "val": 7, "test": 9})


def test_a_lost_worker_restarts_the_group_from_the_checkpoint(data: Path, tmp_path: Path) -> None:
    with torchrun(*finetune(data, tmp_path, 40), restarts=1) as process:
        wait_for_line(process, "saved")
        workers = psutil.Process(process.pid).children()
        assert len(workers) == 2
        workers[1].kill()
        _, rest = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, rest[-3000:]
    assert "resuming from" in rest
    made = artifacts.load(tmp_path / "model").config
    assert made.provenance["iterations"] == 40
    assert made.provenance["processes"] == 2
    assert made.metrics["test"]["top1"] >= 0.8


def test_sigterm_to_the_launcher_leaves_a_checkpoint(data: Path, tmp_path: Path) -> None:
    with torchrun(*finetune(data, tmp_path, 4000)) as process:
        wait_for_line(process, "iteration ")
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
        assert process.returncode != 0
    assert rest.count("TrainingInterrupted: stopped at iteration") == 2
    assert checkpoints(tmp_path)[-1] in rest
