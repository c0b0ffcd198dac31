"""What the predictor's metrics cost: it and its twin without metrics, measured in turns on one core.

CPU time tells, not the rate: what metrics cost is far less than what a shared machine's speed changes by,
and other processes on the core cost time, but no CPU time.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench import load, processes
from bench.measure import Started, run, started, warmed_up
from bench.pictures import Picture


def measure(weights: str, picture: Picture, seconds: float, rounds: int) -> dict[str, float]:
    """CPU ms of a picture with and without metrics, and `ratio`: the median of the first over the second."""
    with (
        started(weights, "with-metrics.log") as first,
        started(weights, "without-metrics.log", "bench.launchers.without_metrics") as second,
    ):
        return summary(run(_in_turns((first, second), picture, seconds, rounds)))


async def _in_turns(
    twins: tuple[Started, Started], picture: Picture, seconds: float, rounds: int
) -> list[tuple[float, float]]:
    """CPU ms of a picture of both, a pair a round; every other round the second goes first."""
    for twin in twins:
        await warmed_up(twin, picture)
    pairs = []
    for number in range(rounds):
        found = [0.0, 0.0]
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            twin = twins[index]
            before = processes.cpu_seconds(twin.process)
            result = await load.closed_loop(twin.send, picture, load.CLIENTS, seconds)
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
