"""The options of `squeezenet train | finetune | test`. Imports nothing heavy, so that --help answers at
once.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from squeezenet.artifact import Artifact
from squeezenet.config import ARCHITECTURES, InputSpec

from squeeze_trainer.settings import (
    DEVICES,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    Augmentation,
    DataSettings,
    Recipe,
    RunSettings,
    TestSettings,
)

DEFAULT_INITIAL = "torchvision://squeezenet1_0"
FINETUNE: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 1e-4,
    "weight_decay": 0.0,
    "batch": 32,
    "epochs": 20,
    "warmup": 50,
    "patience": 5,
}
_DATA = """data:
  A folder with train/CLASS/*.jpg, val/CLASS/*.jpg and test/CLASS/*.jpg; or only CLASS/*.jpg, divided by
  --validation-share and --test-share; ImageNet as it is; or WebDataset shards (*.tar). A path, pvc://CLAIM/PATH,
  s3://, gs://, http:// or whatever else fsspec reads.

exit codes: 0 done, 1 failed, 2 wrong usage, 3 data, 4 diverged, 5 never learned, 6 checkpoint, 75 stopped
by a signal
  after writing a checkpoint (the same command goes on from it).

Several processes: torchrun --nproc-per-node 2 -m squeeze_trainer %s --data … --out …
"""


def add_commands(commands: Any) -> None:
    """Adds the three commands to an argument parser's subparsers."""
    shapes = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    add_train(
        commands.add_parser("train", help="train a network from nothing", epilog=_DATA % "train", **shapes)
    )
    add_finetune(
        commands.add_parser(
            "finetune", help="train on from pretrained weights", epilog=_DATA % "finetune", **shapes
        )
    )
    add_test(
        commands.add_parser("test", help="measure a network on pictures", epilog=_DATA % "test", **shapes)
    )


def add_train(parser: argparse.ArgumentParser) -> None:
    """`squeezenet train`."""
    parser.description = "Train SqueezeNet from random weights: SGD with momentum, batch 128, rate 0.001."
    _add_data(parser)
    _add_run(parser)
    parser.add_argument(
        "--architecture", choices=ARCHITECTURES, default="squeezenet1_0", help="default: squeezenet1_0"
    )
    _add_input(parser)
    _add_recipe(parser, {})
    parser.set_defaults(run=_run_train, mode="train")


def add_finetune(parser: argparse.ArgumentParser) -> None:
    """`squeezenet finetune`."""
    parser.description = (
        "Train on from pretrained weights. The classifier is replaced unless the data's classes are those of "
        "the weights."
    )
    _add_data(parser)
    _add_run(parser)
    parser.add_argument(
        "--from",
        dest="initial",
        default=DEFAULT_INITIAL,
        metavar="MODEL",
        help="the weights to begin with: whatever `squeezenet classify --model` takes (default: %(default)s)",
    )
    parser.add_argument("--sha256", default=None, metavar="HEX", help="refuse weights with another digest")
    _add_input(parser)
    _add_recipe(parser, FINETUNE)
    parser.set_defaults(run=_run_finetune, mode="finetune")


def add_test(parser: argparse.ArgumentParser) -> None:
    """`squeezenet test`."""
    parser.description = "Measure a network: top-1, top-5, precision and recall of each class, calibration."
    parser.add_argument(
        "--model", required=True, metavar="MODEL", help="whatever `squeezenet classify --model` takes"
    )
    parser.add_argument("--sha256", default=None, metavar="HEX", help="refuse weights with another digest")
    _add_data(parser)
    parser.add_argument(
        "--split",
        choices=("train", "validation", "test", "all"),
        default="test",
        help="which pictures (default: test); all: every picture below --data",
    )
    _add_machine(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=_run_test)


def _add_data(parser: argparse.ArgumentParser) -> None:
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


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="where model, report, checkpoints and events go",
    )
    group.add_argument(
        "--fresh", action="store_true", help="begin again, whatever checkpoints there are in --out"
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
    _add_machine(parser)


def _add_machine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("machine")
    group.add_argument("--device", choices=DEVICES, default="auto", help="default: a GPU if there is one")
    group.add_argument(
        "--threads",
        type=_positive,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="CPU threads (default: all)",
    )


def _add_input(parser: argparse.ArgumentParser) -> None:
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


def _add_recipe(parser: argparse.ArgumentParser, changed: dict[str, Any]) -> None:
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
    add("precision", str, "auto: bfloat16 on GPUs that have it", choices=PRECISIONS)
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


def data_settings(options: argparse.Namespace) -> DataSettings:
    """What the data options say. Raises ConfigError."""
    return DataSettings(
        uri=options.data,
        fractions=(options.validation_share, options.test_share),
        split_seed=options.split_seed,
        allow_empty=options.allow_empty,
        max_corrupt=options.max_corrupt,
        labels=options.labels,
        cache=options.cache,
        workers=options.workers,
    )


def run_settings(options: argparse.Namespace, initial: Artifact | None) -> RunSettings:
    """What the options of train or finetune say; the initial weights decide what is not said. Raises
    ConfigError.
    """
    start = InputSpec() if initial is None else initial.config.input
    named = {field.name for field in fields(Recipe)} & set(vars(options))
    if options.iterations is None:
        named.discard("iterations")
        options.epochs = options.epochs or options.default_epochs
    recipe = Recipe(
        **{
            **{name: getattr(options, name) for name in named},
            "architecture": options.architecture if initial is None else initial.config.architecture,
            "input": _input(options, start),
            "augmentation": Augmentation(
                area=(options.smallest_crop, 1.0), rotation=options.rotation, flip=options.flip
            ),
        }
    )
    return RunSettings(
        recipe=recipe,
        data=data_settings(options),
        out=options.out,
        initial=getattr(options, "initial", None),
        sha256=getattr(options, "sha256", None),
        fresh=options.fresh,
        device=options.device,
        threads=options.threads,
        log_seconds=options.log_every,
        checkpoint_seconds=options.checkpoint_every,
    )


def _input(options: argparse.Namespace, start: InputSpec) -> InputSpec:
    crop = options.crop or start.crop
    # A new crop keeps the proportion to the resized picture.
    resize = options.resize or round(start.resize * crop / start.crop)
    return InputSpec(resize, crop, _triple(options.mean, start.mean), _triple(options.std, start.std))


def _triple(given: list[float] | None, default: tuple[float, float, float]) -> tuple[float, float, float]:
    return default if given is None else (given[0], given[1], given[2])


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


# What runs is imported when it runs.
def _run_train(options: argparse.Namespace) -> int:
    settings = run_settings(options, None)
    from squeeze_trainer import commands

    return commands.train(settings)


def _run_finetune(options: argparse.Namespace) -> int:
    from squeezenet import artifact

    from squeeze_trainer import commands

    return commands.train(run_settings(options, artifact.load(options.initial, sha256=options.sha256)))


def _run_test(options: argparse.Namespace) -> int:
    settings = TestSettings(
        model=options.model,
        data=data_settings(options),
        sha256=options.sha256,
        split=options.split,
        device=options.device,
        threads=options.threads,
    )
    from squeeze_trainer import commands

    return commands.test(settings, options.json)
