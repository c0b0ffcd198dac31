"""Trainings as processes, forked from one that has imported PyTorch already, so that a start costs little."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

PATIENCE = 200.0
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["squeeze_trainer.commands", "squeezenet.digits.builtin"])


@dataclass(frozen=True)
class Worker:
    """One process of a training, in a process group of its own."""

    process: BaseProcess
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code; negative where a signal ended the process."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, self.err.read_text()
        return self.process.exitcode

    def wait_for(self, words: str) -> str:
        """Standard error, once it holds the words."""
        end = time.monotonic() + PATIENCE
        while words not in (said := self.err.read_text()):
            assert self.process.is_alive(), said
            assert time.monotonic() < end, said
            time.sleep(0.02)
        return said


@contextmanager
def started(
    folder: Path, arguments: Sequence[str], world: int = 1, moment: str | None = None, number: int = 0
) -> Iterator[list[Worker]]:
    """`squeezenet` in so many processes, nothing of which is left behind.

    ``moment``: ``module:owner.function`` of the trainer; the first process gets the signal ``number`` in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    workers = []
    for rank in range(world):
        out, err = (folder / f"{rank}.{name}" for name in ("out", "err"))
        err.write_text("")
        there = (moment, number) if moment and rank == 0 else None
        process = _CONTEXT.Process(
            target=_work, args=(list(arguments), place | {"RANK": str(rank)}, out, err, there)
        )
        process.start()
        workers.append(Worker(process, out, err))
    try:
        yield workers
    finally:
        for worker in workers:
            if worker.process.is_alive():
                os.killpg(worker.pid, signal.SIGKILL)
            worker.process.join()


def run(folder: Path, arguments: Sequence[str], world: int = 1) -> Worker:
    """A training in so many processes that must all end well; the first of them."""
    with started(folder, arguments, world) as workers:
        for worker in workers:
            assert worker.wait() == 0, worker.err.read_text()
    return workers[0]


def _work(
    arguments: list[str], place: dict[str, str], out: Path, err: Path, there: tuple[str, int] | None
) -> None:
    os.setsid()
    os.environ.update(place)
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    if there is not None:
        _signal_in(*there)
    from squeezenet.cli import main

    sys.exit(main(arguments))


def _signal_in(moment: str, number: int) -> None:
    """Has this process get a signal the second time that a function runs."""
    module, _, path = moment.partition(":")
    *owners, name = path.split(".")
    owner = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    function, calls = getattr(owner, name), iter((False, True))

    def signalled(*arguments: object, **named: object) -> object:
        if next(calls, False):
            os.kill(os.getpid(), number)
        return function(*arguments, **named)

    setattr(owner, name, signalled)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
