"""SqueezeNet from random weights learns, and where it does not, that is noticed, said and never exported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from squeeze_trainer import network, runs, watch
from squeeze_trainer.errors import CheckpointError, StuckError
from squeeze_trainer.watch import Watch
from unit.trainer import training, trees


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost more than these small pictures."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("architecture", ["squeezenet1_0", "squeezenet1_1"])
def test_every_logit_begins_alive_for_every_seed(architecture: str, classes: int) -> None:
    pictures = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for seed in range(10):
        with torch.inference_mode():
            logits = network.create(architecture, classes, 0.5, seed).eval()(pictures)
        assert (logits > 0).all(), f"seed {seed}"
        assert (logits[0] != logits[1]).any(), f"seed {seed}"


def test_logits_that_do_not_depend_on_the_picture_are_called_dead() -> None:
    seen = Watch(guessing=math.log(2), window=1000)
    for _ in range(watch.DEAD_AFTER - 1):
        assert seen.see(0.69, alive=False) is None
    assert seen.see(0.5, alive=True) is None
    for _ in range(watch.DEAD_AFTER - 1):
        assert seen.see(0.69, alive=False) is None
    assert "dead" in (seen.see(math.log(2), alive=False) or "")


def test_a_loss_of_guessing_over_a_window_is_called_stuck() -> None:
    seen = Watch(guessing=math.log(10), window=4)
    assert [seen.see(loss, alive=True) for loss in (2.4, 2.3, 2.0, 2.0)] == [None] * 4
    said = [seen.see(loss, alive=True) for loss in (2.31, 2.29, 2.30, 2.31)]
    assert said[:3] == [None] * 3
    assert "only guesses" in (said[3] or "")


def test_guessing_knows_how_frequent_the_classes_are() -> None:
    assert watch.guessing_loss(np.array([0, 1, 2, 3]), 4) == pytest.approx(math.log(4))
    assert watch.guessing_loss(np.array([0] * 9 + [1]), 3) == pytest.approx(
        -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    )
    assert watch.majority(np.array([0] * 9 + [1])) == 0.9


@pytest.mark.parametrize(
    ("top1", "loss", "pictures", "learned"),
    [
        (0.5, math.log(2), 1000, False),
        (0.52, 0.69, 1000, False),
        (0.6, 0.69, 1000, True),
        # Right, though too sure of what it gets wrong.
        (0.8, 2.0, 100, True),
        (0.6, 0.69, 20, False),
        (0.5, 0.6, 20, True),
    ],
)
def test_a_validation_must_be_better_than_chance(
    top1: float, loss: float, pictures: int, learned: bool
) -> None:
    assert watch.has_learned(top1, loss, pictures, math.log(2), 0.5) == learned


def test_a_run_that_only_guesses_exports_nothing(tmp_path: Path) -> None:
    """Too few iterations to learn anything: however healthy, that is no trained network."""
    trees.tree(tmp_path / "data")
    run = training.settings(tmp_path / "data", tmp_path / "out", initial=None, epochs=1, learning_rate=1e-7)
    with pytest.raises(StuckError, match=r"guessing gives 50\.0%"):
        runs.train(run)
    assert not (tmp_path / "out" / "model").exists()
    assert not (tmp_path / "out" / "report").exists()


def test_a_run_that_fails_leaves_no_model_of_an_earlier_one(tmp_path: Path) -> None:
    """Whoever finds a model below --out takes it for that of the last run."""
    trees.tree(tmp_path / "data")
    model = tmp_path / "out" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    run = training.settings(tmp_path / "data", tmp_path / "out", initial=None, epochs=1, learning_rate=1e-7)
    with pytest.raises(CheckpointError, match=r"no checkpoint that it belongs to.*--fresh"):
        runs.train(run)
    assert model.exists()
    with pytest.raises(StuckError):
        runs.train(replace(run, fresh=True))
    assert not model.exists()
