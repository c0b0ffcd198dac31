"""The open loop at 70 % of the capacity, in turns with the loop without a server by the same kind of clock.

A machine that takes its cores away for a while makes a tail of its own; the loop has that one too.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from typing import Any

from bench import load
from bench.beside import Limit
from bench.pictures import Picture
from bench.plan import Plan
from bench.protocols import Send

SHARE = 0.7
Json = dict[str, Any]


async def measure(send: Send, picture: Picture, limit: Limit, plan: Plan) -> Json:
    """Summaries of the server's and of the loop's open loops; `p99_vs_p50` is the median over the turns.

    Each turn is at 70 % of what either gives just before it: a load that was chosen in faster minutes would
    be nearly all of the capacity in slower ones.
    """
    server, loop = list[load.Result](), list[load.Result]()
    for _ in range(2 * plan.rounds):
        capacity = await load.capacity(send, picture, plan.seconds / 2)
        server.append(await load.open_loop(send, picture, SHARE * capacity, plan.seconds))
        rate = await asyncio.to_thread(limit.now)
        loop.append(await asyncio.to_thread(limit.by_the_clock, SHARE * rate, plan.seconds))
    return {"server": _summary(server), "loop": _summary(loop)}


def _summary(turns: Sequence[load.Result]) -> Json:
    together = load.Result(0.0)
    for turn in turns:
        together.add(turn)
    tails = (turn.summary() for turn in turns)
    return together.summary() | {
        "p99_vs_p50": statistics.median(one["p99_ms"] / one["p50_ms"] for one in tails)
    }
