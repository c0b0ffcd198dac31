"""What a second core gives the predictor and the loop without a server: `python -m bench.cores` prints it.

Two virtual cores may be one physical core, so that the loop's ratio, not 2, is what a second core can give.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from dataclasses import dataclass, field
from typing import Any

from bench import load, pictures, processes, tables
from bench.beside import Limit
from bench.measure import Started, run, started, warmed_up
from bench.pictures import Picture
from bench.plan import LOAD_CORE, OUT, SERVER_CORE, Plan, find_weights

LOOP = "ours, OpenVINO"
Json = dict[str, Any]


@dataclass(frozen=True)
class Turns:
    """Pictures a second on one core and on two, turn by turn."""

    one: list[float] = field(default_factory=list)
    two: list[float] = field(default_factory=list)

    def summary(self) -> Json:
        """The medians, and the median of the turns' ratios."""
        ratios = [two / one for one, two in zip(self.one, self.two, strict=True)]
        return {
            "one": statistics.median(self.one),
            "two": statistics.median(self.two),
            "ratio": statistics.median(ratios),
        }


def measure(weights: str, picture: Picture, limits: tuple[Limit, Limit], seconds: float, rounds: int) -> Json:
    """`loop` and `server`, each on one core and on two; the load generator shares the second."""
    with (
        started(weights, "cores-1.log") as narrow,
        started(weights, "cores-2.log", cores=(SERVER_CORE, LOAD_CORE)) as wide,
    ):
        return run(_in_turns((narrow, wide), picture, limits, seconds, rounds))


async def _in_turns(
    servers: tuple[Started, Started],
    picture: Picture,
    limits: tuple[Limit, Limit],
    seconds: float,
    rounds: int,
) -> Json:
    for one in servers:
        await warmed_up(one, picture)
    loop, server = Turns(), Turns()
    for _ in range(rounds):
        # In a thread, so that connections which a server closes meanwhile are noticed.
        loop.one.append(await asyncio.to_thread(limits[0].now))
        loop.two.append(await asyncio.to_thread(at_once, *limits))
        for rates, (send, _) in zip((server.one, server.two), servers, strict=True):
            rates.append(await load.capacity(send, picture, seconds))
    return {"loop": loop.summary(), "server": server.summary()}


def at_once(first: Limit, second: Limit) -> float:
    """Pictures a second of two loops together."""
    first.begin()
    second.begin()
    return first.end() + second.end()


def main() -> None:
    """The table of one measurement, beside this project's own loop."""
    OUT.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {LOAD_CORE})
    plan, weights, picture = Plan.from_environment(), find_weights(), pictures.load()[0]
    with (
        Limit(weights, LOOP, picture.name, plan.seconds / 3, SERVER_CORE) as first,
        Limit(weights, LOOP, picture.name, plan.seconds / 3, LOAD_CORE) as second,
    ):
        print(tables.cores(measure(weights, picture, (first, second), plan.seconds, plan.rounds)))


if __name__ == "__main__":
    processes.end_all_on_sigterm()
    main()
