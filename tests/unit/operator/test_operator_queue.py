"""The queue: each key once, one worker a key, back-off by key."""

import asyncio

import pytest
from squeeze_operator.names import Key
from squeeze_operator.workqueue import MAX_DELAY_SECONDS, WorkQueue

A, B = Key("ns", "a"), Key("ns", "b")


async def test_a_key_added_often_is_taken_once() -> None:
    queue = WorkQueue()
    for key in (A, A, B, A):
        queue.add(key)
    assert [await queue.take(), await queue.take()] == [A, B]
    assert len(queue) == 0


async def test_a_key_in_work_is_not_given_twice_and_comes_again_afterwards() -> None:
    queue = WorkQueue()
    queue.add(A)
    with queue.handling(await queue.take()):
        queue.add(A)
        queue.add(A)
        assert len(queue) == 0
    assert len(queue) == 1
    assert await queue.take() == A
    queue.done(A)
    assert len(queue) == 0


async def test_a_waiting_worker_wakes_up() -> None:
    queue = WorkQueue()
    takers = [asyncio.create_task(queue.take()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add(A)
    queue.add(B)
    assert set(await asyncio.wait_for(asyncio.gather(*takers), 1)) == {A, B}


async def test_failures_back_off_exponentially_up_to_a_bound() -> None:
    queue = WorkQueue(jitter=lambda: 0.5)
    delays = [queue.failed(A) for _ in range(2000)]
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == MAX_DELAY_SECONDS
    assert queue.failed(B) == 0.5
    queue.succeeded(A)
    assert queue.failed(A) == 0.5
    queue.close()


@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 0.375), (1.0, 0.625)])
async def test_jitter_moves_a_delay_by_a_quarter(jitter: float, delay: float) -> None:
    queue = WorkQueue(jitter=lambda: jitter)
    assert queue.failed(A) == delay
    queue.close()


async def test_the_earliest_of_several_wishes_holds() -> None:
    queue = WorkQueue()
    queue.add_after(A, 0.01)
    queue.add_after(A, 30)
    assert await asyncio.wait_for(queue.take(), 1) == A
    queue.done(A)
    queue.add_after(A, 30)
    queue.add_after(A, 0.01)
    assert await asyncio.wait_for(queue.take(), 1) == A
    assert len(queue) == 0


async def test_a_model_that_is_gone_leaves_nothing() -> None:
    queue = WorkQueue(jitter=lambda: 0.5)
    queue.failed(A)
    queue.forget(A)
    await asyncio.sleep(0.6)
    assert len(queue) == 0
    assert queue.failed(A) == 0.5
    queue.close()
