"""The groups of options that the trainer's commands share."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from squeeze_trainer.settings import (
    DEVICES,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    Augmentation,
    DataSettings,
    Recipe,
)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Where the pictures are."""
    group = parser.add_argument_group("data")
    default = DataSettings("")
    group.add_argument("--data", required=True, metavar="URI", help="the pictures; see below")
    group.add_argument(
        "--validation-share",
        type=float,
        default=default.fractions[0],
        metavar="SHARE",
        help="held out where there is no val folder (default: %(default)s)",
    )
    group.add_argument(
        "--test-share",
        type=float,
        default=default.fractions[1],
        metavar="SHARE",
        help="held out where there is no test folder (default: %(default)s)",
    )
    group.add_argument(
        "--split-seed", type=int, default=0, metavar="N", help="decides who is held out (default: 0)"
    )
    group.add_argument(
        "--labels", type=Path, default=None, metavar="FILE", help="one label a line, in place of folder names"
    )
    group.add_argument(
        "--allow-empty", action="store_true", help="keep class folders without pictures as classes"
    )
    group.add_argument(
        "--max-corrupt",
        type=float,
        default=default.max_corrupt,
        metavar="SHARE",
        help="pictures of a split that may be unreadable, beyond one (default: %(default)s)",
    )
    group.add_argument(
        "--cache", type=Path, default=None, metavar="DIR", help="keep a copy of remote files here"
    )
    group.add_argument(
        "--workers",
        type=int,
        default=default.workers,
        metavar="N",
        help="processes that load pictures, 0 for none (default: %(default)s)",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Where results go, and how often to tell and save."""
    group = parser.add_argument_group("run")
    group.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="where model, report, checkpoints and events go",
    )
    group.add_argument(
        "--fresh", action="store_true", help="begin again: checkpoints and model in --out are removed"
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides everything random (default: 0)"
    )
    group.add_argument(
        "--log-every",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="between two lines without a terminal (default: 10)",
    )
    group.add_argument(
        "--checkpoint-every",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="the most work that a kill may cost (default: 300)",
    )
    add_machine(parser)


def add_machine(parser: argparse.ArgumentParser) -> None:
    """What computes."""
    group = parser.add_argument_group("machine")
    group.add_argument("--device", choices=DEVICES, default="auto", help="default: a GPU if there is one")
    group.add_argument(
        "--threads",
        type=_positive,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="CPU threads (default: all)",
    )


def add_input(parser: argparse.ArgumentParser) -> None:
    """The network's input; what is not given follows from the weights."""
    group = parser.add_argument_group("input (default: that of the initial weights, or ImageNet's)")
    group.add_argument("--resize", type=int, default=None, metavar="PIXELS", help="short side after resizing")
    group.add_argument(
        "--crop", type=int, default=None, metavar="PIXELS", help="side of the square the network sees"
    )
    group.add_argument(
        "--mean", type=float, nargs=3, default=None, metavar=("R", "G", "B"), help="of values 0..1"
    )
    group.add_argument(
        "--std", type=float, nargs=3, default=None, metavar=("R", "G", "B"), help="of values 0..1"
    )


def add_recipe(parser: argparse.ArgumentParser, changed: dict[str, Any]) -> None:
    """Everything that decides the result; ``changed``: defaults that differ from Recipe's."""
    default: dict[str, Any] = {field.name: field.default for field in fields(Recipe)} | changed
    group = parser.add_argument_group("recipe")

    def add(flag: str, kind: Any, text: str, **more: Any) -> None:
        value = default[flag.replace("-", "_")]
        shown = " (default: none)" if value is None else f" (default: {value})"
        group.add_argument(f"--{flag}", type=kind, default=value, help=text + shown, **more)

    add("optimizer", str, "how weights are changed", choices=OPTIMIZERS)
    add("learning-rate", float, "the highest rate", metavar="RATE")
    add("schedule", str, "how the rate falls over the budget", choices=SCHEDULES)
    add("warmup", int, "iterations over which the rate rises", metavar="N")
    add("momentum", float, "of sgd", metavar="SHARE")
    add("weight-decay", float, "pull of the weights towards zero", metavar="X")
    add("batch", int, "pictures an iteration, over all processes", metavar="N")
    _add_budget(group, default["iterations"], default["epochs"])
    add("validate-every", int, "iterations between validations; none means an epoch", metavar="N")
    add("patience", int, "validations without improvement that end training, 0 for never", metavar="N")
    add("label-smoothing", float, "share of each label spread over all classes", metavar="SHARE")
    add("dropout", float, "before the classifier", metavar="SHARE")
    add("clip-norm", float, "longest gradient, 0 for any", metavar="X")
    add("frozen", int, "iterations in which only the classifier learns", metavar="N")
    add("stuck-after", int, "iterations of guessing that count as stuck", metavar="N")
    add("attempts", int, "how often training may begin when it is stuck", metavar="N")
    add("precision", str, "auto: bfloat16 on GPUs and CPUs that compute in it", choices=PRECISIONS)
    add("micro-batch", int, "pictures at once, 0 for what suits the device", metavar="N")
    augmentation = Augmentation()
    group.add_argument(
        "--smallest-crop",
        type=float,
        default=augmentation.area[0],
        metavar="SHARE",
        help="of the picture, that a random crop keeps at least (default: %(default)s)",
    )
    group.add_argument(
        "--rotation",
        type=float,
        default=augmentation.rotation,
        metavar="DEGREES",
        help="largest random rotation (default: %(default)s)",
    )
    group.add_argument(
        "--flip",
        type=float,
        default=augmentation.flip,
        metavar="P",
        help="chance of a mirror image (default: %(default)s)",
    )


def _add_budget(group: Any, iterations: int, epochs: int | None) -> None:
    """--iterations or --epochs; the mode's own budget where neither is given."""
    usual = f"{iterations} iterations" if epochs is None else f"{epochs} epochs"
    budget = group.add_mutually_exclusive_group()
    budget.add_argument("--iterations", type=int, metavar="N", help=f"the budget (default: {usual})")
    budget.add_argument("--epochs", type=int, metavar="N", help="the budget in passes over the data")
    group.set_defaults(default_epochs=epochs)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
