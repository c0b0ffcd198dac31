"""The load at 70 % is chosen anew for each turn, for the server and for the loop."""

from __future__ import annotations

import asyncio

import pytest

from bench import steady
from bench.load import Result
from bench.pictures import Picture
from bench.plan import Plan

PICTURE = Picture("x", b"jpeg", 7)
PLAN = Plan(quick=True, seconds=0.2, concurrencies=(1,), rounds=1, overload_seconds=1.0)


class Slowing:
    """A loop on a machine that is half as fast at the second look; it keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def now(self) -> float:
        return 100.0 / (1 + len(self.asked))

    def by_the_clock(self, per_second: float, seconds: float) -> Result:
        self.asked.append(per_second)
        return Result(seconds, [0.01, 0.03])


async def test_each_turn_is_at_seventy_percent_of_its_own_minutes() -> None:
    limit, lock = Slowing(), asyncio.Lock()

    async def one_at_a_time(_: Picture) -> int:
        async with lock:
            await asyncio.sleep(0.005)
        return 7

    found = await steady.measure(one_at_a_time, PICTURE, limit, PLAN)  # type: ignore[arg-type]
    assert limit.asked == pytest.approx([70, 35])
    assert (found["loop"]["answers"], found["loop"]["p50_ms"]) == (4, pytest.approx(20))
    assert found["loop"]["p99_vs_p50"] == pytest.approx(29.8 / 20)
    # At most 200 a second can be had, so 70 % of that, for two turns of 0.2 s.
    assert 0 < found["server"]["answers"] <= 0.7 * 200 * 0.4
    assert found["server"]["wrong"] == 0
