"""Turns of messages on their way: slow ones give way where others wait, and bytes come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from squeeze_predictor import grpc_message
from squeeze_predictor.admission import BodyBudget
from squeeze_predictor.errors import ApiError
from squeeze_predictor.grpc_message import MessageReader

LARGEST = 100
PATIENCE = 0.05
# Far beyond what a test waits.
TIMEOUT = 600.0


class Call:
    """A call whose message arrives when `send` does; None is a client that ends without one."""

    def __init__(self, send: Callable[[], Awaitable[bytes | None]]) -> None:
        self._send = send

    async def read(self) -> object:
        message = await self._send()
        return grpc.aio.EOF if message is None else message


async def never() -> bytes:
    await asyncio.Event().wait()
    return b""


async def late() -> bytes:
    await asyncio.sleep(4 * PATIENCE)
    return b"late"


async def at_once() -> bytes:
    return b"picture"


async def empty() -> None:
    return None


@pytest.fixture
def budget() -> BodyBudget:
    return BodyBudget(4 * LARGEST)


@pytest.fixture
def reader(budget: BodyBudget, monkeypatch: pytest.MonkeyPatch) -> MessageReader:
    monkeypatch.setattr(grpc_message, "PATIENCE_SECONDS", PATIENCE)
    return MessageReader(budget, LARGEST, TIMEOUT, lambda: None)


async def received(reader: MessageReader, send: Callable[[], Awaitable[bytes | None]]) -> bytes:
    async with asyncio.timeout(20), reader.for_model() as read:
        return await read(Call(send))


async def test_a_slow_message_has_time_while_nobody_waits(reader: MessageReader) -> None:
    assert await received(reader, late) == b"late"


async def test_slow_messages_give_way_one_after_another_where_others_wait(
    reader: MessageReader, budget: BodyBudget
) -> None:
    slow = [asyncio.create_task(received(reader, never)) for _ in range(5)]
    await asyncio.sleep(0)
    assert await received(reader, at_once) == b"picture"
    # The last ones have nobody behind them, so their time is their own.
    ended, left = await asyncio.wait(slow, timeout=0)
    assert len(ended) >= 3
    for one in ended:
        error = one.exception()
        assert isinstance(error, ApiError)
        assert error.reason == "BodyTimeout"
    for one in left:
        one.cancel()
    await asyncio.wait(slow)
    budget.take(4 * LARGEST)


async def test_a_message_counts_as_the_largest_on_its_way_and_as_it_is_once_it_is_there(
    reader: MessageReader, budget: BodyBudget
) -> None:
    stuck = asyncio.create_task(received(reader, never))
    await asyncio.sleep(0)
    budget.take(3 * LARGEST)
    with pytest.raises(ApiError) as caught:
        await received(reader, at_once)
    assert caught.value.reason == "BodiesFull"
    stuck.cancel()
    await asyncio.wait([stuck])
    async with reader.for_model() as read:
        size = len(await read(Call(at_once)))
        budget.take(LARGEST - size)
        with pytest.raises(ApiError):
            budget.take(1)
    budget.take(size)


async def test_a_call_without_a_message_is_refused(reader: MessageReader) -> None:
    with pytest.raises(ApiError) as caught:
        await received(reader, empty)
    assert caught.value.reason == "RequestInvalid"
