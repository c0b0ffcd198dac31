"""The queue before the workers: its bound, its timeout, and requests that are cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from squeeze_predictor.admission import Admission, BodyBudget
from squeeze_predictor.errors import ApiError
from squeeze_predictor.parts import Part
from squeeze_predictor.progress import Progress
from squeeze_predictor.work import Job, Work


class Gate:
    """Work that lasts until it is let through, and counts how often it ran."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.runs = 0

    def __call__(self) -> int:
        self.runs += 1
        assert self.event.wait(20)
        return self.runs


async def run(admission: Admission, *calls: Callable[[], Any]) -> Any:
    """The results of a request whose parts are these calls, or the result of the only one."""
    parts = [Part(call, infer=_same, rows=_alone) for call in calls]
    job = Job(parts, lambda results: results if len(calls) > 1 else results[0])
    work = Work(lambda _: job, heavy=len(calls) > 1)
    return await admission.do(work, SimpleNamespace(batch_size=1))  # type: ignore[arg-type]


def _same(result: Any) -> Any:
    return result


def _alone(result: Any) -> Any:
    return [result]


def admission_of(workers: int, queue_size: int, queue_timeout: float) -> Admission:
    return Admission(workers, queue_size, queue_timeout, Progress(60))


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
    admission = admission_of(workers=1, queue_size=1, queue_timeout=20)
    accepted = [asyncio.create_task(run(admission, gate)) for _ in range(2)]
    await until_running(gate)
    with pytest.raises(ApiError) as caught:
        await run(admission, gate)
    assert (caught.value.status, caught.value.reason) == (503, "QueueFull")
    assert caught.value.headers["Retry-After"] == "1"
    refused = admission.full()
    assert refused is not None
    assert refused.reason == "QueueFull"
    gate.event.set()
    assert await asyncio.gather(*accepted) == [1, 2]
    assert await run(admission, gate) == 3


async def test_no_queue_at_all_still_serves_one(gate: Gate) -> None:
    gate.event.set()
    assert await run(admission_of(1, 0, 1), gate) == 1


async def test_waiting_too_long_is_a_504_while_the_worker_is_still_busy(gate: Gate) -> None:
    admission = admission_of(workers=1, queue_size=5, queue_timeout=0.05)
    first = asyncio.create_task(run(admission, gate))
    await until_running(gate)
    with pytest.raises(ApiError) as caught:
        await run(admission, gate)
    assert (caught.value.status, caught.value.reason) == (504, "QueueTimeout")
    gate.event.set()
    assert await first == 1


async def test_cancelled_work_that_waits_is_never_done(gate: Gate) -> None:
    admission = admission_of(workers=1, queue_size=5, queue_timeout=20)
    first = asyncio.create_task(run(admission, gate))
    await until_running(gate)
    waiting = asyncio.create_task(run(admission, gate))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.event.set()
    assert await first == 1
    assert await run(admission, gate) == 2


async def test_failed_and_cancelled_work_gives_its_slot_back(gate: Gate) -> None:
    admission = admission_of(workers=1, queue_size=0, queue_timeout=20)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await run(admission, lambda: 1 // 0)
    cancelled = asyncio.create_task(run(admission, gate))
    await until_running(gate)
    cancelled.cancel()
    await asyncio.sleep(0.05)
    # The thread is still at it, so its slot is still taken.
    assert admission.full() is not None
    gate.event.set()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await run(admission, gate) == 2


async def test_parts_come_back_in_order_and_use_every_worker() -> None:
    admission = admission_of(workers=2, queue_size=9, queue_timeout=20)
    both = threading.Barrier(2, timeout=20)

    def meets(number: int) -> int:
        # Two parts have to be computed at a time for either to end.
        both.wait()
        return number

    calls = [lambda number=number: meets(number) for number in range(6)]
    assert await run(admission, *calls) == [0, 1, 2, 3, 4, 5]


async def test_a_single_picture_does_not_wait_for_all_parts_of_a_large_request(gate: Gate) -> None:
    admission = admission_of(workers=1, queue_size=20, queue_timeout=20)
    done: list[str] = []
    large = asyncio.create_task(run(admission, gate, *[lambda: done.append("part")] * 9))
    await until_running(gate)
    single = asyncio.create_task(run(admission, lambda: done.append("single")))
    await asyncio.sleep(0.05)
    gate.event.set()
    await asyncio.gather(large, single)
    assert done.index("single") <= 1


async def test_a_request_counts_as_many_as_its_pictures(gate: Gate) -> None:
    admission = admission_of(workers=1, queue_size=3, queue_timeout=20)
    first = asyncio.create_task(run(admission, gate, gate, gate))
    await until_running(gate)
    with pytest.raises(ApiError, match="3 pictures are being answered or waiting, of 4 that may"):
        await run(admission, gate, gate)
    last = asyncio.create_task(run(admission, gate))
    await asyncio.sleep(0.05)
    gate.event.set()
    assert len(await first) == 3
    await last


async def test_a_request_larger_than_the_queue_is_answered_alone(gate: Gate) -> None:
    admission = admission_of(workers=1, queue_size=1, queue_timeout=20)
    gate.event.set()
    assert len(await run(admission, *[gate] * 5)) == 5


async def test_a_part_that_fails_ends_the_request_and_frees_the_workers(gate: Gate) -> None:
    admission = admission_of(workers=1, queue_size=20, queue_timeout=20)

    def refused() -> None:
        raise ApiError(400, "PictureInvalid", "the second")

    gate.event.set()
    with pytest.raises(ApiError, match="the second"):
        await run(admission, gate, refused, *[gate] * 6)
    assert gate.runs < 7
    assert await run(admission, gate)


def test_body_budget_at_its_edge() -> None:
    budget = BodyBudget(100)
    budget.take(60)
    budget.take(40)
    with pytest.raises(ApiError) as caught:
        budget.take(1)
    assert caught.value.status == 503
    budget.give_back(40)
    budget.take(40)
