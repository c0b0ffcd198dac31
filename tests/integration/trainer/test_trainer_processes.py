"""Trainings as processes: several of them, and what becomes of them when they are told to stop or killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from squeezenet import artifact as artifacts
from unit.trainer import trees

PATIENCE = 200.0
PROGRAM = [sys.executable, "-m", "squeeze_trainer"]
SMALL = ["--workers", "0", "--device", "cpu", "--threads", "1"]
RECIPE = [*SMALL, "--from", "builtin://digits", "--batch", "8", "--learning-rate", "5e-4", "--warmup", "0"]
RECIPE += ["--patience", "0", "--log-every", "0", "--attempts", "1"]


def torchrun(processes: int, *options: str) -> list[str]:
    """The launcher for so many processes on this machine."""
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
    ]
    return [*launcher, *options, "-m", "squeeze_trainer"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A command that must end well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A command in a group of its own, nothing of which is left behind."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for_line(process: subprocess.Popen[str], words: str) -> list[str]:
    """Standard error up to a line with the words."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError("".join(lines[-30:]))


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Splits whose sizes no number of processes divides, with a damaged picture among those of the test."""
    root = trees.tree(tmp_path_factory.mktemp("data"), classes=3, counts={"train": 11, "val": 7, "test": 31})
    damaged = root / "test" / "0" / "020.png"
    damaged.write_bytes(damaged.read_bytes()[:70])
    return root


def test_measures_do_not_depend_on_the_number_of_processes(data: Path) -> None:
    command = ["test", "--model", "builtin://digits", "--data", str(data), "--json", *SMALL]
    found = [json.loads(run([*launch, *command]).stdout) for launch in (PROGRAM, torchrun(2), torchrun(3))]
    assert found[0]["pictures"] == 92
    assert [name for name, _ in found[0]["damaged"]] == ["test/0/020.png"]
    assert found[0] == found[1] == found[2]


def test_sigterm_writes_a_checkpoint_and_the_same_command_goes_on(data: Path, tmp_path: Path) -> None:
    command = [
        *PROGRAM,
        "finetune",
        "--data",
        str(data),
        "--out",
        str(tmp_path),
        "--iterations",
        "24",
        *RECIPE,
    ]
    # To the whole group, as some service managers do: the processes that load pictures end too.
    command += ["--workers", "2"]
    with started(command) as process:
        wait_for_line(process, "iteration ")
        os.killpg(process.pid, signal.SIGTERM)
        _, rest = process.communicate(timeout=30)
        assert process.returncode == 75, rest
    assert "TrainingInterrupted: stopped at iteration" in rest
    (name,) = checkpoints(tmp_path)
    assert name in rest
    assert not (tmp_path / "model").exists()
    done = run(command)
    assert f"resuming from {name}" in done.stderr
    assert done.stdout == f"{tmp_path}/model\n"
    assert artifacts.load(tmp_path / "model").config.provenance["iterations"] == 24


def test_sigkill_loses_no_more_than_the_work_since_the_last_checkpoint(data: Path, tmp_path: Path) -> None:
    command = [
        *PROGRAM,
        "finetune",
        "--data",
        str(data),
        "--out",
        str(tmp_path),
        "--iterations",
        "40",
        *RECIPE,
    ]
    with started(command) as process:
        wait_for_line(process, "saved")
        process.kill()
        process.communicate(timeout=30)
    left = checkpoints(tmp_path)
    done = run(command)
    assert f"resuming from {left[-1]}" in done.stderr
    assert artifacts.load(tmp_path / "model").config.provenance["iterations"] == 40


def test_processes_stop_together_at_one_iteration(data: Path, tmp_path: Path) -> None:
    command = ["finetune", "--data", str(data), "--out", str(tmp_path), "--iterations", "60", *RECIPE]
    with started([*torchrun(2), *command]) as process:
        wait_for_line(process, "iteration ")
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    stopped = {
        line.split("stopped at iteration ")[1].split()[0]
        for line in rest.splitlines()
        if "stopped at" in line
    }
    assert len(stopped) == 1, rest
    assert rest.count("TrainingInterrupted") == 2
    assert process.returncode != 0
    (name,) = checkpoints(tmp_path)
    assert int(name.removesuffix(".pt").split("-")[1]) == int(stopped.pop())


def test_a_lost_worker_restarts_the_group_from_the_checkpoint(data: Path, tmp_path: Path) -> None:
    command = ["finetune", "--data", str(data), "--out", str(tmp_path), "--iterations", "40", *RECIPE]
    with started([*torchrun(2, "--max-restarts=1"), *command]) as process:
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


def test_a_lost_worker_ends_a_job_that_may_not_restart(data: Path, tmp_path: Path) -> None:
    command = ["finetune", "--data", str(data), "--out", str(tmp_path), "--iterations", "4000", *RECIPE]
    with started([*torchrun(2), *command]) as process:
        wait_for_line(process, "iteration ")
        psutil.Process(process.pid).children()[1].kill()
        began = time.monotonic()
        process.communicate(timeout=60)
        assert process.returncode != 0
    assert time.monotonic() - began < 60


def test_two_processes_learn_what_one_does(data: Path, tmp_path: Path) -> None:
    """The same global batches and the same mean gradient, up to the rounding of sums."""
    found = []
    for number, launch in enumerate((PROGRAM, torchrun(2))):
        out = tmp_path / str(number)
        run(
            [
                *launch,
                "finetune",
                "--data",
                str(data),
                "--out",
                str(out),
                "--iterations",
                "10",
                "--dropout",
                "0",
                *RECIPE,
            ]
        )
        found.append(artifacts.load(out / "model"))
    first, second = found
    assert first.config.metrics["validation"]["top1"] == second.config.metrics["validation"]["top1"]
    assert first.config.metrics["validation"]["loss"] == pytest.approx(
        second.config.metrics["validation"]["loss"], abs=0.02
    )
