"""Trainings as processes: several of them, and what becomes of them when they are told to stop or killed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from integration.trainer import groups
from squeezenet import artifact as artifacts
from unit.trainer import trees

MACHINE = ["--workers", "0", "--device", "cpu", "--threads", "1"]
RECIPE = [*MACHINE, "--from", "builtin://digits", "--batch", "8", "--learning-rate", "5e-4", "--warmup", "0"]
RECIPE += ["--patience", "0", "--log-every", "0", "--attempts", "1"]
# Of one epoch: 33 pictures in batches of 8.
EPOCH = 5


def finetune(data: Path, out: Path, iterations: int, *more: str) -> list[str]:
    """The arguments of a short training."""
    return [
        *("finetune", "--data", str(data), "--out", str(out), "--iterations", str(iterations)),
        *RECIPE,
        *more,
    ]


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


def weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Splits whose sizes no number of processes divides, with a damaged picture among those of the test."""
    root = trees.tree(tmp_path_factory.mktemp("data"), classes=3, counts={"train": 11, "val": 7, "test": 34})
    damaged = root / "test" / "0" / "020.png"
    damaged.write_bytes(damaged.read_bytes()[:70])
    return root


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two epochs that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole")
    groups.run(out / "logs", finetune(data, out, 2 * EPOCH))
    return out


def test_measures_do_not_depend_on_the_number_of_processes(data: Path, tmp_path: Path) -> None:
    command = ["test", "--model", "builtin://digits", "--data", str(data), "--json", *MACHINE]
    found = [
        json.loads(groups.run(tmp_path / str(world), command, world).out.read_text()) for world in (1, 2, 3)
    ]
    assert found[0]["pictures"] == 101
    assert [name for name, _ in found[0]["damaged"]] == ["test/0/020.png"]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    "moment",
    [
        "squeeze_trainer.step:Stepper._backward",
        "squeeze_trainer.evaluate:Evaluator._counts",
        "squeeze_trainer.checkpoint:torch.save",
    ],
)
def test_a_run_that_sigterm_ends_goes_on_to_the_same_weights(
    data: Path, tmp_path: Path, whole: Path, moment: str
) -> None:
    """In the middle of an epoch, of a validation and of a save."""
    command = finetune(data, tmp_path, 2 * EPOCH, "--checkpoint-every", "0")
    with groups.started(tmp_path / "first", command, moment=moment, number=signal.SIGTERM) as (worker,):
        assert worker.wait() == 75
    said = worker.err.read_text()
    assert "TrainingInterrupted: stopped at iteration" in said
    newest = checkpoints(tmp_path)[-1]
    assert newest in said
    assert not (tmp_path / "model").exists()
    again = groups.run(tmp_path / "again", command)
    assert f"resuming from {newest}" in again.err.read_text()
    assert weights(tmp_path) == weights(whole)


@pytest.mark.parametrize(
    "moment", ["squeeze_trainer.checkpoint:_publish", "squeeze_trainer.checkpoint:_write"]
)
def test_a_run_that_sigkill_ends_in_mid_save_goes_on_from_the_checkpoint_before(
    data: Path, tmp_path: Path, whole: Path, moment: str
) -> None:
    command = finetune(data, tmp_path, 2 * EPOCH, "--checkpoint-every", "0")
    with groups.started(tmp_path / "first", command, moment=moment, number=signal.SIGKILL) as (worker,):
        assert worker.wait() == -signal.SIGKILL
    half = [name for name in checkpoints(tmp_path) if name.endswith(".partial")]
    complete = [name for name in checkpoints(tmp_path) if name not in half]
    assert len(half) == 1
    again = groups.run(tmp_path / "again", command)
    assert f"resuming from {complete[-1]}" in again.err.read_text()
    assert weights(tmp_path) == weights(whole)
    assert not [name for name in checkpoints(tmp_path) if name.endswith(".partial")]


def test_sigterm_to_a_whole_group_with_loading_processes_leaves_a_checkpoint(
    data: Path, tmp_path: Path
) -> None:
    """As some service managers send it: to the processes that load pictures too."""
    with groups.started(tmp_path / "logs", finetune(data, tmp_path, 4000, "--workers", "2")) as (worker,):
        worker.wait_for("iteration ")
        os.killpg(worker.pid, signal.SIGTERM)
        assert worker.wait(30) == 75
    assert checkpoints(tmp_path)[-1] in worker.err.read_text()


def test_processes_stop_together_when_one_is_told_to(data: Path, tmp_path: Path) -> None:
    with groups.started(tmp_path / "logs", finetune(data, tmp_path, 4000), world=2) as workers:
        workers[0].wait_for("iteration ")
        os.kill(workers[1].pid, signal.SIGTERM)
        assert [worker.wait(30) for worker in workers] == [75, 75]
    stopped = {
        worker.err.read_text().split("TrainingInterrupted: stopped at iteration ")[1].split()[0]
        for worker in workers
    }
    assert len(stopped) == 1
    assert int(checkpoints(tmp_path)[-1].removesuffix(".pt").split("-")[1]) == int(stopped.pop())


def test_a_lost_process_ends_the_others_within_a_minute(data: Path, tmp_path: Path) -> None:
    with groups.started(tmp_path / "logs", finetune(data, tmp_path, 4000), world=2) as workers:
        workers[0].wait_for("iteration ")
        os.kill(workers[1].pid, signal.SIGKILL)
        began = time.monotonic()
        assert workers[0].wait(60) not in (0, 75)
    assert time.monotonic() - began < 60


def test_two_processes_learn_what_one_does(data: Path, tmp_path: Path) -> None:
    """The same global batches and the same mean gradient, up to the rounding of sums."""
    found = []
    for world in (1, 2):
        out = tmp_path / str(world)
        groups.run(out / "logs", finetune(data, out, 2 * EPOCH, "--dropout", "0"), world)
        found.append(artifacts.load(out / "model").config.metrics["validation"])
    assert found[0]["top1"] == found[1]["top1"]
    assert found[0]["loss"] == pytest.approx(found[1]["loss"], abs=0.02)
