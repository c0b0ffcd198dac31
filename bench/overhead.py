"""What the predictor's metrics cost: it and its twin without metrics, measured in turns on one core.

CPU time tells, not the rate: what metrics cost is far less than what a shared machine's speed changes by,
and other processes on the core cost time, but no CPU time.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import contestants, load, processes, protocols
from bench.client import Client
from bench.measure import first_answer, run
from bench.pictures import Picture
from bench.plan import OUT, SERVER_CORE
from bench.protocols import Send

CLIENTS = 8


@dataclass(frozen=True)
class Twin:
    """One of the two servers."""

    send: Send
    process: psutil.Process


def measure(weights: str, picture: Picture, seconds: float, rounds: int) -> dict[str, float]:
    """CPU ms of a picture with and without metrics, and `ratio`: the median of the first over the second."""
    with (
        _started(weights, "squeeze_predictor") as first,
        _started(weights, "bench.launchers.without_metrics") as second,
    ):
        return summary(run(_in_turns((first, second), picture, seconds, rounds)))


@contextmanager
def _started(weights: str, module: str) -> Iterator[Twin]:
    port = processes.free_port()
    twin = contestants.ours(weights, module)
    command = processes.pinned((SERVER_CORE,), twin.started(Path(sys.executable), port))
    with processes.running(command, processes.threads(1), OUT / f"{module}.log") as process:
        yield Twin(protocols.over_http(Client("127.0.0.1", port), twin.protocol, twin.path), process)


async def _in_turns(
    twins: tuple[Twin, Twin], picture: Picture, seconds: float, rounds: int
) -> list[tuple[float, float]]:
    """CPU ms of a picture of both, a pair a round; every other round the second goes first."""
    for twin in twins:
        await first_answer(twin.send, picture, twin.process)
        await load.closed_loop(twin.send, picture, CLIENTS, 1.0)
    pairs = []
    for number in range(rounds):
        found = [0.0, 0.0]
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            twin = twins[index]
            before = processes.cpu_seconds(twin.process)
            result = await load.closed_loop(twin.send, picture, CLIENTS, seconds)
            used = processes.cpu_seconds(twin.process) - before
            found[index] = 1000 * used / len(result.latencies)
        pairs.append((found[0], found[1]))
    return pairs


def summary(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Medians of the times, and of the ratios of each pair: 1.00 where metrics cost nothing."""
    return {
        "with": statistics.median(one for one, _ in pairs),
        "without": statistics.median(other for _, other in pairs),
        "ratio": statistics.median(one / other for one, other in pairs),
    }
