"""The best servers with the same engine and ours, in turns: they differ by less than the machine drifts.

`python -m bench.rivals NAME...` measures those that are named.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from bench import contestants, load, pictures, processes, tables
from bench.contestants import OURS, Contestant
from bench.measure import Started, log_of, run, serving, warmed_up
from bench.pause import cluster_paused
from bench.pictures import Picture
from bench.plan import LOAD_CORE, OUT, Plan, find_weights

MOST = 3
Json = dict[str, Any]
Rates = Mapping[str, Sequence[float]]


def best(shares: Mapping[str, float], peers: Sequence[Contestant]) -> list[Contestant]:
    """Those with our engine that came closest when each was measured alone, at most `MOST`."""
    ours = [one for one in peers if one.engine == "openvino" and one.title in shares]
    return sorted(ours, key=lambda one: shares[one.title], reverse=True)[:MOST]


def measure(weights: str, picture: Picture, rivals: Sequence[Contestant], plan: Plan) -> Json:
    """By name: the median rate, and the median over the turns of ours over it."""
    with ExitStack() as stack:
        everybody = (contestants.ours(weights), *rivals)
        servers = {one.name: stack.enter_context(serving(weights, one, log_of(one))) for one in everybody}
        return summary(run(_in_turns(servers, picture, plan)))


async def _in_turns(servers: Mapping[str, Started], picture: Picture, plan: Plan) -> Rates:
    rates: dict[str, list[float]] = {name: [] for name in servers}
    for one in servers.values():
        await warmed_up(one, picture)
    for _ in range(2 * plan.rounds):
        for name, one in servers.items():
            rates[name].append(await load.capacity(one.send, picture, plan.seconds / 2))
    return rates


def summary(rates: Rates) -> Json:
    """See `measure`."""
    return {
        name: {
            "per_second": statistics.median(found),
            "ours_vs_it": statistics.median(ours / one for ours, one in zip(rates[OURS], found, strict=True)),
        }
        for name, found in rates.items()
    }


def main(names: Sequence[str]) -> None:
    """The table of one measurement."""
    OUT.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {LOAD_CORE})
    rivals = [one for one in contestants.peers() if one.engine == "openvino" and one.name in names]
    with cluster_paused():
        print(tables.rivals(measure(find_weights(), pictures.load()[0], rivals, Plan.from_environment())))


if __name__ == "__main__":
    processes.end_all_on_sigterm()
    main(sys.argv[1:])
