"""SqueezeNet from random weights learns, and where it does not, that is noticed, said and never exported."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from squeeze_trainer import network, optimise, runs, watch
from squeeze_trainer.errors import StuckError
from squeeze_trainer.settings import Recipe
from squeeze_trainer.watch import Watch
from squeezenet.digits.data import load
from squeezenet.digits.training import to_inputs
from torch.nn import functional
from unit.trainer import training, trees

ITERATIONS = 120


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("architecture", ["squeezenet1_0", "squeezenet1_1"])
def test_every_logit_begins_alive_for_every_seed(architecture: str, classes: int) -> None:
    pictures = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for seed in range(10):
        with torch.inference_mode():
            logits = network.create(architecture, classes, 0.5, seed).eval()(pictures)
        assert (logits > 0).all(), f"seed {seed}"
        assert (logits[0] != logits[1]).any(), f"seed {seed}"


@pytest.mark.parametrize("classes", [2, 10])
def test_random_weights_learn_for_every_seed(classes: int) -> None:
    """By the recipe's own optimiser, rate and clipping, on small digits: well below the loss of guessing."""
    digits = load(0).train
    chosen = digits.classes < classes
    inputs = (
        functional.interpolate(to_inputs(digits)[torch.from_numpy(chosen)], 32).expand(-1, 3, -1, -1) * 2 - 1
    )
    labels = torch.from_numpy(digits.classes[chosen])
    recipe = Recipe(mode="train")
    for seed in range(10):
        losses = _losses(recipe, classes, seed, inputs, labels)
        assert np.mean(losses[-5:]) < 0.95 * math.log(classes), f"seed {seed}"


def _losses(
    recipe: Recipe, classes: int, seed: int, inputs: torch.Tensor, labels: torch.Tensor
) -> list[float]:
    model = network.create("squeezenet1_1", classes, recipe.dropout, seed).train()
    optimizer = optimise.optimiser(recipe, model.parameters())
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for iteration in range(ITERATIONS):
        optimise.set_rate(optimizer, optimise.rate(recipe, iteration, 10 * ITERATIONS))
        rows = torch.randint(len(labels), (16,), generator=generator)
        loss = functional.cross_entropy(model(inputs[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        losses.append(loss.item())
    return losses


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


def test_a_dead_network_is_begun_again_at_a_tenth_of_the_rate(tmp_path: Path) -> None:
    trees.tree(tmp_path / "data")
    run = training.settings(
        tmp_path / "data",
        tmp_path / "out",
        initial=None,
        learning_rate=5.0,
        epochs=100,
        attempts=2,
    )
    view = training.Watched()
    trainer = training.trainer(replace(run, recipe=replace(run.recipe, optimizer="sgd")), view=view)
    with pytest.raises(StuckError, match=r"in 2 attempt\(s\)\. Lower --learning-rate"):
        trainer.run()
    assert "the network is dead" in trainer.state.failures[0]
    assert trainer.state.rate_scale == pytest.approx(0.1)
    assert any("a learning rate of 0.5" in line for line in view.lines)


def test_a_run_that_only_guesses_exports_nothing(tmp_path: Path) -> None:
    """Too few iterations to learn anything: however healthy, that is no trained network."""
    trees.tree(tmp_path / "data")
    run = training.settings(tmp_path / "data", tmp_path / "out", initial=None, epochs=1, learning_rate=1e-7)
    with pytest.raises(StuckError, match=r"guessing gives 50\.0%"):
        runs.train(run)
    assert not (tmp_path / "out" / "model").exists()
    assert not (tmp_path / "out" / "report").exists()
