"""What the commands' options come to, and what contradicts itself."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest
from squeeze_trainer import optimise, options
from squeeze_trainer.settings import Augmentation, DataSettings, Recipe, RunSettings
from squeezenet import artifact
from squeezenet.cli import main
from squeezenet.errors import ConfigError


def settings(command: str, *arguments: str) -> RunSettings:
    parser = argparse.ArgumentParser()
    options.add_commands(parser.add_subparsers())
    parsed = parser.parse_args([command, "--data", "d", "--out", "o", *arguments])
    initial = artifact.load("builtin://digits") if command == "finetune" else None
    return options.run_settings(parsed, initial)


def test_train_has_the_defaults_of_the_platform() -> None:
    recipe = settings("train").recipe
    assert (recipe.optimizer, recipe.momentum, recipe.batch, recipe.learning_rate) == ("sgd", 0.9, 128, 0.001)
    assert (recipe.iterations, recipe.epochs) == (1_000_000, None)
    assert recipe == Recipe(mode="train")


def test_finetune_takes_network_and_input_from_its_initial_weights() -> None:
    recipe = settings("finetune").recipe
    assert (recipe.optimizer, recipe.architecture, recipe.epochs) == ("adam", "squeezenet1_1", 20)
    assert recipe.input == artifact.load("builtin://digits").config.input


@pytest.mark.parametrize("command", ["train", "finetune"])
def test_a_budget_that_is_given_is_the_budget(command: str) -> None:
    by_iterations = settings(command, "--iterations", "10").recipe
    assert (by_iterations.iterations, by_iterations.epochs) == (10, None)
    assert settings(command, "--epochs", "3").recipe.epochs == 3


def test_a_new_crop_keeps_its_proportion_to_the_resized_picture() -> None:
    chosen = settings("train", "--crop", "128", "--mean", "0.5", "0.5", "0.5").recipe.input
    assert (chosen.resize, chosen.crop) == (144, 128)
    assert chosen.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.0}, "learning rate"),
        ({"batch": 0}, "batch is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"dropout": 1.0}, "dropout"),
        ({"architecture": "resnet18"}, "resnet18"),
        ({"clip_norm": float("nan")}, "clip-norm"),
    ],
)
def test_impossible_recipes_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(Recipe(mode="train"), **change)  # type: ignore[arg-type]


def test_impossible_data_and_augmentation_are_refused() -> None:
    for make in (
        lambda: DataSettings("d", fractions=(0.6, 0.5)),
        lambda: DataSettings("d", max_corrupt=1.0),
        lambda: DataSettings("d", split_seed=-1),
        lambda: Augmentation(area=(0.0, 1.0)),
        lambda: Augmentation(flip=2),
    ):
        with pytest.raises(ConfigError):
            make()


def test_the_rate_warms_up_and_falls() -> None:
    recipe = Recipe(mode="train", learning_rate=0.1, warmup=10)
    rates = [optimise.rate(recipe, iteration, 200) for iteration in range(200)]
    assert rates[:10] == pytest.approx([0.01 * step for step in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-4
    steps = [optimise.rate(replace(recipe, schedule="step"), at, 310) for at in (10, 150, 300)]
    assert steps == pytest.approx([0.1, 0.01, 0.001])
    assert optimise.rate(replace(recipe, schedule="constant"), 199, 200) == 0.1


@pytest.mark.parametrize("command", ["train", "finetune", "test"])
def test_help_is_complete(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "usage: squeezenet" in shown
    assert "torchrun --nproc-per-node 2 -m squeeze_trainer " + command in shown


def test_data_that_is_not_there_is_one_line_and_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("out")
    assert main(["train", "--data", "/no/such/folder", "--out", str(out), "--device", "cpu"]) == 3
    assert capsys.readouterr().err == (
        "squeezenet: DataInvalid: /no/such/folder does not exist: check the path (bucket, key, spelling).\n"
    )
