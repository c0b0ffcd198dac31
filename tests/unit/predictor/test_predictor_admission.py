"""The queue before the workers: its bound, its timeout, and requests whose client has left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from squeeze_predictor.admission import Admission, BodyBudget
from squeeze_predictor.errors import ApiError


class Gate:
    """Work that lasts until it is let through, and counts how often it ran."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.runs = 0

    def __call__(self) -> int:
        self.runs += 1
        assert self.event.wait(20)
        return self.runs


@pytest.fixture
def gate() -> Iterator[Gate]:
    opened = Gate()
    yield opened
    opened.event.set()


async def until_running(gate: Gate, runs: int = 1) -> None:
    async with asyncio.timeout(10):
        while gate.runs < runs:
            await asyncio.sleep(0.005)


async def test_one_more_than_workers_and_queue_is_refused_at_once(gate: Gate) -> None:
    admission = Admission(workers=1, queue_size=1, queue_timeout=20)
    accepted = [asyncio.create_task(admission.run(gate)) for _ in range(2)]
    await until_running(gate)
    with pytest.raises(ApiError) as caught:
        await admission.run(gate)
    assert (caught.value.status, caught.value.reason) == (503, "QueueFull")
    assert caught.value.headers["Retry-After"] == "1"
    with pytest.raises(ApiError):
        admission.check()
    gate.event.set()
    assert await asyncio.gather(*accepted) == [1, 2]
    assert await admission.run(gate) == 3


async def test_no_queue_at_all_still_serves_one(gate: Gate) -> None:
    gate.event.set()
    assert await Admission(1, 0, 1).run(gate) == 1


async def test_waiting_too_long_is_a_504_while_the_worker_is_still_busy(gate: Gate) -> None:
    admission = Admission(workers=1, queue_size=5, queue_timeout=0.05)
    first = asyncio.create_task(admission.run(gate))
    await until_running(gate)
    with pytest.raises(ApiError) as caught:
        await admission.run(gate)
    assert (caught.value.status, caught.value.reason) == (504, "QueueTimeout")
    gate.event.set()
    assert await first == 1


async def test_work_of_a_client_that_left_is_never_done(gate: Gate) -> None:
    admission = Admission(workers=1, queue_size=5, queue_timeout=20)
    gate.event.set()

    async def left() -> bool:
        return True

    with pytest.raises(ApiError, match="closed the connection"):
        await admission.run(gate, left)
    assert gate.runs == 0
    assert await admission.run(gate) == 1


async def test_failed_and_cancelled_work_gives_its_slot_back(gate: Gate) -> None:
    admission = Admission(workers=1, queue_size=0, queue_timeout=20)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await admission.run(lambda: 1 // 0)
    cancelled = asyncio.create_task(admission.run(gate))
    await until_running(gate)
    cancelled.cancel()
    await asyncio.sleep(0.05)
    with pytest.raises(ApiError):
        # The thread is still at it, so its slot is still taken.
        admission.check()
    gate.event.set()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await admission.run(gate) == 2


def test_body_budget_at_its_edge() -> None:
    budget = BodyBudget(100)
    budget.take(60)
    budget.take(40)
    with pytest.raises(ApiError) as caught:
        budget.take(1)
    assert caught.value.status == 503
    budget.give_back(40)
    budget.take(40)
