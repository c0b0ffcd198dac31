"""The load generator tells the truth: wrong answers do not count, a stall is not hidden."""

from __future__ import annotations

import asyncio
import time

import pytest

from bench import load
from bench.pictures import Picture

PICTURE = Picture("x", b"jpeg", 7)


async def right(_: Picture) -> int:
    await asyncio.sleep(0.001)
    return 7


async def test_closed_loop_counts_right_answers() -> None:
    result = await load.closed_loop(right, PICTURE, concurrency=4, seconds=0.2)
    assert len(result.latencies) > 20
    assert result.wrong == []
    assert result.summary()["per_second"] == pytest.approx(len(result.latencies) / result.duration)


async def test_wrong_answers_and_errors_do_not_count() -> None:
    async def other_class(_: Picture) -> int:
        await asyncio.sleep(0.001)
        return 8

    async def refused(_: Picture) -> int:
        raise ValueError("HTTP 503")

    for send, why in ((other_class, "class 8"), (refused, "HTTP 503")):
        result = await load.closed_loop(send, PICTURE, concurrency=1, seconds=0.05)
        assert result.latencies == []
        assert why in result.wrong[0]


async def test_a_stall_shows_in_all_that_was_due_meanwhile() -> None:
    """A closed loop would have sent nothing during the stall, and seen one slow answer."""
    lock, began = asyncio.Lock(), time.perf_counter()

    async def stalls_once(_: Picture) -> int:
        async with lock:
            if 0.1 < time.perf_counter() - began < 0.15:
                await asyncio.sleep(0.3)
        return 7

    result = await load.open_loop(stalls_once, PICTURE, per_second=100, seconds=0.6)
    assert len(result.latencies) == 60
    assert sum(latency > 0.1 for latency in result.latencies) >= 10
