"""What a limit of one CPU does to the predictor: `python -m bench.throttling` prints its table.

The server runs in a cgroup with that quota on a machine with more cores, with the threads that it chooses by
itself and with one for each of two cores. The kernel stops a process that has used up its quota for the rest
of the period.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import contestants, load, pictures, processes, protocols, tables
from bench.client import Client
from bench.measure import first_answer, run
from bench.pictures import Picture
from bench.plan import LOAD_CORE, OUT, SERVER_CORE, find_weights
from bench.protocols import Send

ROOT = Path("/sys/fs/cgroup")
CLIENTS = (2, 4)
PERIOD_US = 100_000
WAYS: dict[str, Sequence[str]] = {"threads by the quota": (), "--threads=2": ("--threads=2",)}
ENTER = 'echo $$ > "$0" && exec "$@"'
Json = dict[str, Any]


@dataclass(frozen=True)
class Stopped:
    """Periods of the quota so far, and in how many of them the kernel stopped the group."""

    periods: int
    throttled: int


def measure(weights: str, picture: Picture, seconds: float) -> Json:
    """The closed loop at two numbers of clients, by the way the server chose its threads; or why not."""
    try:
        with one_cpu():
            pass
    except OSError as error:
        return {"skipped": f"no cgroup can be made here: {error}"}
    return {name: _one_way(weights, flags, picture, seconds) for name, flags in WAYS.items()}


@contextmanager
def one_cpu() -> Iterator[Path]:
    """A cgroup (version 1 or 2) with a quota of one CPU. Raises OSError where it cannot be made."""
    second = (ROOT / "cgroup.controllers").exists()
    folder = (ROOT if second else ROOT / "cpu") / f"squeezeserve-bench-{os.getpid()}"
    folder.mkdir()
    try:
        if second:
            (folder / "cpu.max").write_text(f"{PERIOD_US} {PERIOD_US}")
        else:
            (folder / "cpu.cfs_quota_us").write_text(str(PERIOD_US))
        yield folder
    finally:
        folder.rmdir()


def stopped(folder: Path) -> Stopped:
    """What the kernel has counted."""
    counts = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
    return Stopped(int(counts["nr_periods"]), int(counts["nr_throttled"]))


def _one_way(weights: str, flags: Sequence[str], picture: Picture, seconds: float) -> Json:
    port = processes.free_port()
    server = contestants.ours(weights)
    command = [*server.started(Path(sys.executable), port), *flags]
    with one_cpu() as folder:
        entered = ["sh", "-c", ENTER, str(folder / "cgroup.procs"), *command]
        both = processes.pinned((SERVER_CORE, LOAD_CORE), entered)
        with processes.running(both, {}, OUT / "throttling.log") as process:
            send = protocols.over_http(Client("127.0.0.1", port), server.protocol, server.path)
            return run(_loops(send, picture, seconds, process, folder))


async def _loops(send: Send, picture: Picture, seconds: float, process: psutil.Process, folder: Path) -> Json:
    await first_answer(send, picture, process)
    await load.closed_loop(send, picture, 2, 1.0)
    found = {}
    for clients in CLIENTS:
        before = stopped(folder)
        result = await load.closed_loop(send, picture, clients, seconds)
        after = stopped(folder)
        share = (after.throttled - before.throttled) / max(1, after.periods - before.periods)
        found[str(clients)] = result.summary() | {"throttled_periods": share}
    return found


def main() -> None:
    """The table of one measurement."""
    OUT.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {LOAD_CORE})
    print(tables.throttling(measure(find_weights(), pictures.load()[0], float(sys.argv[1]))))


if __name__ == "__main__":
    processes.end_all_on_sigterm()
    main()
