"""The open loop at 70 % of the capacity, in turns with the loop without a server by the same kind of clock.

A machine that takes its cores away for a while makes a tail of its own; the loop has that one too.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bench import load
from bench.beside import Limit
from bench.pictures import Picture
from bench.plan import Plan
from bench.protocols import Send

SHARE = 0.7
Json = dict[str, Any]


async def measure(send: Send, picture: Picture, limit: Limit, plan: Plan) -> Json:
    """Summaries of the server's and of the loop's open loops.

    Each turn is at 70 % of what either gives just before it: a load that was chosen in faster minutes would
    be nearly all of the capacity in slower ones.
    """
    server, loop = load.Result(0.0), load.Result(0.0)
    for _ in range(plan.rounds):
        capacity = await load.capacity(send, picture, plan.seconds / 2)
        server.add(await load.open_loop(send, picture, SHARE * capacity, plan.seconds))
        rate = await asyncio.to_thread(limit.now)
        loop.add(await asyncio.to_thread(limit.by_the_clock, SHARE * rate, plan.seconds))
    return {"server": server.summary(), "loop": loop.summary()}
