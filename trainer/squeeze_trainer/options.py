"""The options of `squeezenet train | finetune | test`. Imports nothing heavy, so that --help answers at
once.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from squeezenet.artifact import Artifact
from squeezenet.config import ARCHITECTURES, InputSpec

from squeeze_trainer import flags
from squeeze_trainer.settings import Augmentation, DataSettings, Recipe, RunSettings, TestSettings

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
  --validation-share and --test-share; ImageNet as it is; or WebDataset shards (*.tar). A path,
  pvc://CLAIM/PATH, s3://, gs://, http:// or whatever else fsspec reads.

exit codes:
  0 done, 1 failed, 2 wrong usage, 3 data, 4 diverged, 5 never learned, 6 checkpoint, 75 stopped by a
  signal after writing a checkpoint (the same command goes on from it).

several processes:
  torchrun --nproc-per-node 2 -m squeeze_trainer %s --data … --out …
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
    flags.add_data(parser)
    flags.add_run(parser)
    parser.add_argument(
        "--architecture", choices=ARCHITECTURES, default="squeezenet1_0", help="default: squeezenet1_0"
    )
    flags.add_input(parser)
    flags.add_recipe(parser, {})
    parser.set_defaults(run=_run_train, mode="train")


def add_finetune(parser: argparse.ArgumentParser) -> None:
    """`squeezenet finetune`."""
    parser.description = (
        "Train on from pretrained weights. The classifier is replaced unless the data's classes are those of "
        "the weights."
    )
    flags.add_data(parser)
    flags.add_run(parser)
    parser.add_argument(
        "--from",
        dest="initial",
        default=DEFAULT_INITIAL,
        metavar="MODEL",
        help="the weights to begin with: whatever `squeezenet classify --model` takes (default: %(default)s)",
    )
    parser.add_argument("--sha256", default=None, metavar="HEX", help="refuse weights with another digest")
    flags.add_input(parser)
    flags.add_recipe(parser, FINETUNE)
    parser.set_defaults(run=_run_finetune, mode="finetune")


def add_test(parser: argparse.ArgumentParser) -> None:
    """`squeezenet test`."""
    parser.description = "Measure a network: top-1, top-5, precision and recall of each class, calibration."
    parser.add_argument(
        "--model", required=True, metavar="MODEL", help="whatever `squeezenet classify --model` takes"
    )
    parser.add_argument("--sha256", default=None, metavar="HEX", help="refuse weights with another digest")
    flags.add_data(parser)
    parser.add_argument(
        "--split",
        choices=("train", "validation", "test", "all"),
        default="test",
        help="which pictures (default: test); all: every picture below --data",
    )
    flags.add_machine(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=_run_test)


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
