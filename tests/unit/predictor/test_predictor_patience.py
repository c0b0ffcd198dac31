"""A request's deadline, and work that ends with the wait for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from squeeze_predictor import patience
from squeeze_predictor.errors import ApiError
from starlette.requests import Request


def request(disconnected: asyncio.Event) -> Request:
    """A request whose body is read and whose client leaves with the event."""

    async def receive() -> dict[str, Any]:
        await disconnected.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http", "headers": []}, receive)


class Work:
    """Work that never ends, and knows how far it came."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cancelled = False

    async def __call__(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.02


async def result(value: int) -> int:
    return value


@pytest.mark.parametrize(("text", "value"), [(None, None), ("0", None), ("1", 1), ("60000", 60_000)])
def test_milliseconds(text: str | None, value: int | None) -> None:
    assert patience.milliseconds(text) == value


@pytest.mark.parametrize("text", ["", " 1", "-1", "1.5", "1s", "１", "9" * 13])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        patience.milliseconds(text)
    assert (caught.value.status, caught.value.reason) == (400, "HeaderInvalid")


async def test_work_in_time_is_answered() -> None:
    here = request(asyncio.Event())
    assert await patience.answer(here, None, result(1)) == 1
    assert await patience.answer(here, soon() + 60, result(2)) == 2


async def test_the_deadline_cancels_the_work() -> None:
    work = Work()
    with pytest.raises(ApiError) as caught:
        await patience.answer(request(asyncio.Event()), soon(), work())
    assert (caught.value.status, caught.value.reason) == (504, "DeadlineExceeded")
    assert work.cancelled


async def test_no_work_begins_after_the_deadline() -> None:
    work = Work()
    with pytest.raises(ApiError, match="not answered within"):
        await patience.answer(request(asyncio.Event()), soon() - 1, work())
    assert not work.began.is_set()


async def test_a_client_that_leaves_cancels_the_work() -> None:
    work, gone = Work(), asyncio.Event()
    answering = asyncio.create_task(patience.answer(request(gone), None, work()))
    await work.began.wait()
    gone.set()
    with pytest.raises(ApiError) as caught:
        await answering
    assert caught.value.reason == "ClientLeft"
    assert work.cancelled


async def test_a_server_that_gives_up_the_request_cancels_the_work() -> None:
    work = Work()
    answering = asyncio.create_task(patience.answer(request(asyncio.Event()), None, work()))
    await work.began.wait()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert work.cancelled
