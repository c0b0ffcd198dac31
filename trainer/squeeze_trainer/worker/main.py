"""The command `squeeze-training-worker`: runs one worker, and tells Kubernetes how it ended.

The termination message of the leading worker holds the result as one JSON object; that of a worker that
failed holds `<Reason>: <sentence>`. The exit codes are those of the training program.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from squeezenet import artifact as artifacts
from squeezenet import termination
from squeezenet.errors import SqueezeNetError

from squeeze_trainer import options as trainer_options
from squeeze_trainer import progress_file
from squeeze_trainer.errors import InterruptedRun
from squeeze_trainer.runs import MODEL
from squeeze_trainer.worker import page
from squeeze_trainer.worker.inputs import data_path, local_weights
from squeeze_trainer.worker.mirror import Mirror


def main() -> int:
    """Entry point of `squeeze-training-worker`."""
    # As PID 1 the default is to ignore SIGTERM. Until the training listens there is nothing to save.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(InterruptedRun.exit_code))
    return work(sys.argv[1:], os.environ)


def work(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Exit code: 0 for a worker that did its part, else that of the error."""
    options = parse(arguments)
    leads = int(env.get("JOB_COMPLETION_INDEX", "0")) == 0
    try:
        with _place(env):
            result = _run(options, leads)
    except SqueezeNetError as error:
        termination.report(f"{error.reason}: {error.message}", env)
        return error.exit_code
    except RuntimeError as error:
        # gloo and nccl raise plain RuntimeErrors where another worker of the group is gone.
        if int(env.get("SQUEEZE_WORKERS", "1")) == 1:
            raise
        termination.report(f"WorkerLost: the group of workers broke: {error}", env)
        return 1
    if result is not None:
        termination.report(json.dumps(result), env)
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The worker's options and the training program's; exits with code 2 where they are wrong."""
    parser = argparse.ArgumentParser(prog="squeeze-training-worker", description=__doc__, allow_abbrev=False)
    parser.add_argument("--output", required=True, metavar="URI", help="where the run's folder is kept")
    parser.add_argument("--page-port", type=int, default=8080, metavar="PORT", help="of the progress page")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    trainer_options.add_train(commands.add_parser("train"))
    trainer_options.add_finetune(commands.add_parser("finetune"))
    return parser.parse_args(arguments)


@contextlib.contextmanager
def _place(env: Mapping[str, str]) -> Iterator[None]:
    """torch.distributed's RANK and WORLD_SIZE, from the Job's variables."""
    place = {"RANK": env.get("JOB_COMPLETION_INDEX", "0"), "WORLD_SIZE": env.get("SQUEEZE_WORKERS", "1")}
    before = {name: os.environ.get(name) for name in place}
    os.environ.update(place)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _run(options: argparse.Namespace, leads: bool) -> dict[str, Any] | None:
    """Trains; the leading worker's result, None of the others. Raises SqueezeNetError.

    `--out` is the folder of a run whose output is no mounted volume.
    """
    on_volume = options.output.startswith("pvc://")
    if on_volume and leads:
        options.out = Path(data_path(options.output))
    options.data = str(data_path(options.data))
    if getattr(options, "initial", None) is not None:
        options.initial = local_weights(options.initial)
    mirror = None if on_volume or not leads else Mirror(options.out, options.output)
    with contextlib.ExitStack() as during:
        if mirror is not None:
            mirror.prove_writable(f"squeezenet {options.mode} on {options.data}")
            mirror.fetch()
            during.enter_context(mirror.following())
        if leads:
            during.enter_context(page.serving(options.out / progress_file.NAME, options.page_port))
        options.run(options)
    if not leads:
        return None
    if mirror is not None:
        mirror.copy_results()
    return _result(options)


def _result(options: argparse.Namespace) -> dict[str, Any]:
    made = artifacts.load(str(options.out / MODEL))
    shown = {
        split: {name: measures[name] for name in ("top1", "top5", "loss") if name in measures}
        for split, measures in made.config.metrics.items()
        if split in ("validation", "test")
    }
    return {
        "artifact": f"{options.output.rstrip('/')}/{MODEL}",
        "digest": made.digest,
        "iterations": made.config.provenance["iterations"],
        **shown,
    }
