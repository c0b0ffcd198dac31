"""The `squeezenet` command: classify pictures, describe and quantize artifacts, train and test networks.

Training's commands are there where the package squeeze_trainer is; the predictor's image goes without.

Answers go to standard output, progress and errors to standard error. Exit codes: 0 all well, 1 some picture
failed, 2 wrong usage or weights that cannot be used; training has more, see its --help.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from squeezenet.engines import select
from squeezenet.errors import SqueezeNetError

DEFAULT_MODEL = "builtin://digits"
_MODEL_HELP = (
    "builtin://digits, torchvision://squeezenet1_0, torchvision://squeezenet1_1, an artifact folder, or a "
    ".safetensors or .pth file (default: %(default)s)"
)
_EXAMPLES = """examples:
  squeezenet classify 7.png
  squeezenet classify --model torchvision://squeezenet1_1 --top-k 3 *.jpg
  curl -s https://example.org/cat.jpg | squeezenet classify --model ./my-artifact --json -
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        # A closed pipe must show here, where it can be handled, and not while the interpreter ends.
        sys.stdout.flush()
        return code
    except SqueezeNetError as error:
        print(f"squeezenet: {error.reason}: {error.message}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="squeezenet",
        description="Classify pictures with SqueezeNet, and train it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_classify(commands.add_parser("classify", help="say what is in pictures"))
    _add_info(commands.add_parser("info", help="describe a model: classes, input, digest, metrics"))
    _add_quantize(commands.add_parser("quantize", help="add int8 weights to a model, and measure them"))
    digits = commands.add_parser("digits", help="the built-in handwritten digits network")
    _add_digits(digits)
    if importlib.util.find_spec("squeeze_trainer") is not None:
        from squeeze_trainer.options import add_commands

        add_commands(commands)
    return parser


def _add_classify(parser: argparse.ArgumentParser) -> None:
    parser.description = "Say what is in pictures. A folder means the pictures directly in it."
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="picture, folder of pictures, or - for stdin"
    )
    _add_model(parser)
    parser.add_argument(
        "--top-k", type=_positive, default=5, metavar="K", help="classes to show (default: 5)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--no-picture", action="store_true", help="do not draw the picture in a terminal")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--engine", choices=select.NAMES, default="auto", help="default: by the device")
    parser.add_argument(
        "--precision",
        choices=select.PRECISIONS,
        default="f32",
        help="default: f32, so that every machine gives the same answer",
    )
    parser.add_argument(
        "--threads",
        type=_positive,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="CPU threads (default: all)",
    )
    parser.set_defaults(run=_run_classify)


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.description = "Describe a model; its files are read and checked whole."
    _add_model(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=_run_info)


def _add_quantize(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a copy of a model with int8 weights, and with its top-1 on test pictures in f32 and in int8. "
        "A folder of pictures holds one folder for each class, named by its label or class id."
    )
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP.replace(" (default: %(default)s)", ""))
    parser.add_argument("--sha256", default=None, metavar="HEX", help="refuse weights with another digest")
    parser.add_argument("--calibrate", type=Path, metavar="DIR", help="pictures to take the ranges from")
    parser.add_argument("--test", type=Path, metavar="DIR", help="other pictures, to measure top-1 on")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="artifact folder to write, new"
    )
    parser.add_argument(
        "--pictures",
        type=_positive,
        default=300,
        metavar="N",
        help="most pictures to calibrate on, evenly over the classes (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of their choice (default: %(default)s)")
    parser.set_defaults(run=_run_quantize)


def _add_digits(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train it from nothing (minutes on two CPU cores)")
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="artifact folder to write")
    train.add_argument("--seed", type=int, default=None, help="default: that of the built-in network")
    train.add_argument("--epochs", type=_positive, default=None, help="default: that of the built-in network")
    train.set_defaults(run=_run_digits_train)
    export = commands.add_parser("export", help="write the digits as folders of pictures, to train on")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write, new")
    export.set_defaults(run=_run_digits_export)
    evaluate = commands.add_parser("evaluate", help="measure accuracy on the held-out test digits")
    _add_model(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print one JSON document")
    evaluate.set_defaults(run=_run_digits_evaluate)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument("--sha256", default=None, metavar="HEX", help="refuse weights with another digest")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


# Each command's module is imported when it runs, so that --help answers at once.
def _run_classify(options: argparse.Namespace) -> int:
    from squeezenet.commands import classify

    return classify(options)


def _run_info(options: argparse.Namespace) -> int:
    from squeezenet import artifact
    from squeezenet.commands import describe

    facts = describe(artifact.load(options.model, sha256=options.sha256))
    if options.json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
        return 0
    for name, value in facts.items():
        print(f"{name:<14}{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    return 0


def _run_quantize(options: argparse.Namespace) -> int:
    from squeezenet import artifact, quantize

    model = artifact.load(options.model, sha256=options.sha256)
    splits = quantize.splits_of(model, options.calibrate, options.test)
    quantize.quantize(
        model, splits, options.out, options.pictures, options.seed, lambda line: print(line, file=sys.stderr)
    )
    print(options.out)
    return 0


def _run_digits_train(options: argparse.Namespace) -> int:
    from squeezenet.digits.builtin import train_and_save

    train_and_save(
        options.out, options.seed, options.epochs, report=lambda line: print(line, file=sys.stderr)
    )
    print(options.out)
    return 0


def _run_digits_export(options: argparse.Namespace) -> int:
    from squeezenet.digits.export import export

    export(options.out)
    print(options.out)
    return 0


def _run_digits_evaluate(options: argparse.Namespace) -> int:
    from squeezenet.digits.builtin import evaluate, summary

    result = evaluate(options.model, sha256=options.sha256)
    print(json.dumps(result, indent=2) if options.json else summary(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
