"""A run that was stopped goes on as if it had not been: the same numbers, bit for bit, on one CPU process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from squeeze_trainer import checkpoint
from squeeze_trainer.errors import CheckpointError, DivergedError, InterruptedRun
from squeeze_trainer.loop import Trainer
from squeeze_trainer.settings import RunSettings
from squeeze_trainer.stopping import Stop
from unit.trainer import training, trees

COUNTS = {"train": 7, "val": 3}
# 14 pictures in batches of 6: epochs of three iterations, the last one of two pictures.
ITERATIONS = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trees.tree(tmp_path_factory.mktemp("data"), counts=COUNTS)


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    whole = training.trainer(training.settings(data, tmp_path_factory.mktemp("whole")))
    whole.run()
    assert whole.state.iteration == ITERATIONS
    return whole


def stopped_at(iteration: int, run: RunSettings) -> Trainer:
    """A trainer that was asked to stop right after an iteration, and did."""
    stop = Stop()
    view = training.Watched(lambda now: stop.ask() if now == iteration else None)
    trainer = training.trainer(run, stop, view)
    with pytest.raises(InterruptedRun, match="same command goes on"):
        trainer.run()
    return trainer


def assert_equal(one: Trainer, other: Trainer) -> None:
    """Equal weights, best weights and state."""
    assert one.state == other.state
    for mine, theirs in ((one.network.state_dict(), other.network.state_dict()), (one.best, other.best)):
        assert set(mine) == set(theirs)
        for name, tensor in mine.items():
            assert torch.equal(tensor, theirs[name]), name


# In the middle of an epoch, at its end (where the stop falls into validation), and just after it.
@pytest.mark.parametrize("iteration", [2, 3, 4])
def test_resuming_changes_no_bit(data: Path, tmp_path: Path, uninterrupted: Trainer, iteration: int) -> None:
    run = training.settings(data, tmp_path)
    stopped = stopped_at(iteration, run)
    assert stopped.state.iteration == iteration
    resumed = training.trainer(run)
    resumed.run()
    assert_equal(resumed, uninterrupted)


def test_resuming_twice_and_with_other_loading_processes_changes_no_bit(
    data: Path, tmp_path: Path, uninterrupted: Trainer
) -> None:
    run = training.settings(data, tmp_path)
    stopped_at(1, run)
    stopped_at(8, replace(run, data=replace(run.data, workers=2)))
    resumed = training.trainer(run)
    resumed.run()
    assert_equal(resumed, uninterrupted)


def test_a_finished_run_is_not_trained_again(uninterrupted: Trainer) -> None:
    again = training.trainer(uninterrupted._job.settings)
    again.run()
    assert again.state == uninterrupted.state
    assert not hasattr(again, "network")


def test_another_recipe_does_not_go_on_from_a_checkpoint(data: Path, tmp_path: Path) -> None:
    stopped_at(1, training.settings(data, tmp_path))
    other = training.settings(data, tmp_path, learning_rate=0.002)
    with pytest.raises(CheckpointError, match=r"learning_rate 0\.0005 instead of 0\.002.*--fresh"):
        training.trainer(other).run()
    begun = stopped_at(2, replace(other, fresh=True))
    assert begun.state.iteration == 2


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    for iteration in (1, 2, 3):
        checkpoint.save(tmp_path, 0, iteration, {"tensor": torch.full((300,), float(iteration))})
    kept = checkpoint.list_all(tmp_path)
    assert [path.name for path in kept] == [checkpoint.name(0, 3), checkpoint.name(0, 2)]
    kept[0].write_bytes(kept[0].read_bytes()[:-200])
    (tmp_path / f".{checkpoint.name(0, 9)}.partial").write_bytes(b"half")
    said: list[str] = []
    content = checkpoint.load_newest(tmp_path, said.append)
    assert content is not None
    assert content["tensor"][0] == 2
    assert "is damaged" in said[0]
    kept[1].write_bytes(b"")
    with pytest.raises(CheckpointError, match="--fresh"):
        checkpoint.load_newest(tmp_path, said.append)


def test_a_checkpoint_of_a_later_attempt_is_the_newer_one(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 0, 500, {})
    checkpoint.save(tmp_path, 1, 3, {})
    assert checkpoint.list_all(tmp_path)[0].name == checkpoint.name(1, 3)


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_checkpoint(
    data: Path, tmp_path: Path
) -> None:
    stopped = stopped_at(3, training.settings(data, tmp_path))
    folder = tmp_path / "checkpoints"
    good = checkpoint.list_all(folder)[0]
    broken = training.trainer(stopped._job.settings, view=training.Watched(lambda _: poison(broken)))
    with pytest.raises(DivergedError, match=f"at iteration 5 the loss is not finite .* checkpoint is {good}"):
        broken.run()
    assert checkpoint.list_all(folder)[0] == good
    content = checkpoint.load_newest(folder, print)
    assert content is not None
    assert all(torch.isfinite(tensor).all() for tensor in content["network"].values())


def poison(trainer: Trainer) -> None:
    """A weight that makes the next loss NaN."""
    with torch.no_grad():
        trainer.network.get_parameter("classifier.1.bias").fill_(torch.nan)


def test_only_the_classifier_learns_while_features_are_frozen(data: Path, tmp_path: Path) -> None:
    run = training.settings(data, tmp_path, frozen=2)
    frozen = stopped_at(2, run)
    begun, now = frozen._new_network().state_dict(), frozen.network.state_dict()
    assert [name for name in now if not torch.equal(now[name], begun[name])] == [
        "classifier.1.weight",
        "classifier.1.bias",
    ]
    thawed = stopped_at(3, run).network.state_dict()
    assert not torch.equal(thawed["features.0.weight"], begun["features.0.weight"])


def test_patience_ends_training_early_and_the_best_weights_are_kept(data: Path, tmp_path: Path) -> None:
    trainer = training.trainer(training.settings(data, tmp_path, epochs=40, patience=2))
    trainer.run()
    best, last = trainer.state.best, trainer.state.validations[-1]
    assert best is not None
    assert trainer.state.iteration < 120
    assert best.score == max(found.score for found in trainer.state.validations)
    assert trainer.state.without_improvement == 2
    assert last.iteration == best.iteration + 2 * 3
