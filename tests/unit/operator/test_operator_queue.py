"""The queue: each key once, one worker a key, back-off by key."""

import asyncio

import pytest
from squeeze_operator import workqueue
from squeeze_operator.names import Key
from squeeze_operator.workqueue import LOOK_AGAIN_SECONDS, LOOKS_IN_A_ROW, MAX_DELAY_SECONDS, WorkQueue

A, B = Key("ns", "a"), Key("ns", "b")


async def test_a_key_added_often_is_taken_once() -> None:
    queue = WorkQueue()
    for key in (A, A, B, A):
        queue.add(key)
    assert [await queue.take(), await queue.take()] == [(A, False), (B, False)]
    assert len(queue) == 0


async def test_a_key_in_work_is_not_given_twice_and_comes_again_afterwards() -> None:
    queue = WorkQueue()
    queue.add(A)
    key, _ = await queue.take()
    with queue.handling(key):
        queue.add(A)
        queue.add(A)
        assert len(queue) == 0
    assert len(queue) == 1
    assert await queue.take() == (A, False)
    queue.done(A)
    assert len(queue) == 0


async def test_a_waiting_worker_wakes_up() -> None:
    queue = WorkQueue()
    takers = [asyncio.create_task(queue.take()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add(A)
    queue.add(B)
    assert set(await asyncio.wait_for(asyncio.gather(*takers), 1)) == {(A, False), (B, False)}


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
    assert await asyncio.wait_for(queue.take(), 1) == (A, True)
    queue.done(A)
    queue.add_after(A, 30)
    queue.add_after(A, 0.01)
    assert await asyncio.wait_for(queue.take(), 1) == (A, True)
    assert len(queue) == 0


async def test_a_model_that_is_gone_leaves_nothing() -> None:
    queue = WorkQueue(jitter=lambda: 0.5)
    queue.failed(A)
    queue.forget(A)
    await asyncio.sleep(0.6)
    assert len(queue) == 0
    assert queue.failed(A) == 0.5
    queue.close()


async def test_a_look_that_no_event_asked_for_is_a_live_one_and_stays_so_beside_events() -> None:
    queue = WorkQueue()
    queue.add(A, live=True)
    queue.add(A)
    queue.add(B)
    assert [await queue.take(), await queue.take()] == [(A, True), (B, False)]
    queue.done(A)
    queue.add(A)
    assert await queue.take() == (A, False)


async def test_a_model_that_does_not_settle_is_looked_at_less_and_less_often_until_something_happens() -> (
    None
):
    queue, most = WorkQueue(jitter=lambda: 0.5), 300.0
    loop = asyncio.get_running_loop()

    def pause() -> float:
        queue.again(A, most)
        pause = queue._agains.pop(A)
        pause.cancel()
        return round(pause.when() - loop.time())

    assert [pause() for _ in range(LOOKS_IN_A_ROW)] == [LOOK_AGAIN_SECONDS] * LOOKS_IN_A_ROW
    assert [pause() for _ in range(2000)][:5] == [40, 80, 160, 300, 300]
    queue.add(A)
    assert pause() == LOOK_AGAIN_SECONDS
    queue.close()


async def test_events_of_children_that_come_in_a_burst_are_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workqueue, "SOON_SECONDS", 0.05)
    queue = WorkQueue()
    for _ in range(3):
        queue.add_soon(A)
    assert len(queue) == 0
    assert await asyncio.wait_for(queue.take(), 5) == (A, False)
    queue.done(A)
    await asyncio.sleep(0.1)
    assert len(queue) == 0


async def test_a_look_that_comes_before_the_end_of_a_burst_is_the_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workqueue, "SOON_SECONDS", 0.05)
    queue = WorkQueue()
    queue.add_soon(A)
    queue.add(A)
    assert await queue.take() == (A, False)
    queue.add_soon(A)
    queue.done(A)
    assert await asyncio.wait_for(queue.take(), 5) == (A, False), "what is told during a look comes after it"


async def test_every_second_look_at_a_model_that_does_not_settle_is_a_live_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workqueue, "LOOK_AGAIN_SECONDS", 0.0)
    queue, looks = WorkQueue(), []
    for _ in range(LOOKS_IN_A_ROW + 3):
        queue.again(A, 0.0)
        looks.append((await asyncio.wait_for(queue.take(), 5))[1])
        queue.done(A)
    assert looks == [False, True, False, True, False, True, True, True, True]


async def test_a_model_that_has_settled_is_not_looked_at_before_the_resync() -> None:
    queue = WorkQueue(jitter=lambda: 0.5)
    queue.again(A, 0.05)
    queue.resync(A, 30)
    await asyncio.sleep(0.1)
    assert len(queue) == 0
    queue.close()
