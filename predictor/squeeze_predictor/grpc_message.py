"""Reads a call's message within its limits: the counterpart of `body.py`.

How large a message is shows only when all of it has arrived. So one that is on its way counts as the largest
that may come, and only a few are on their way at a time: the others wait unread, and gRPC's flow control
keeps what they send beyond a window with their clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import grpc

from squeeze_predictor.admission import BodyBudget, overloaded
from squeeze_predictor.errors import ApiError, bad_request

# Of a budget of four: two are left for requests that are being answered.
MESSAGES_AT_A_TIME = 2
# A slower one gives way where others wait: two slow clients must not stop everybody.
PATIENCE_SECONDS = 5.0
# Messages without pictures have a few bytes and arrive with the head of the call.
PATIENCE_SECONDS_SMALL = 1.0

Call = Any  # grpc.aio.ServicerContext, untyped
Read = Callable[[Call], Awaitable[bytes]]


class MessageReader:
    """`limit`: bytes of the largest message; `timeout`: seconds for a message, and to wait for its turn.

    `full` gives what a request for the model is refused with before its message is read, if anything.
    """

    def __init__(
        self, budget: BodyBudget, limit: int, timeout: float, full: Callable[[], ApiError | None]
    ) -> None:
        self._budget = budget
        self._limit = limit
        self._full = full
        self._turns = _Turns(MESSAGES_AT_A_TIME, timeout, PATIENCE_SECONDS)
        # Health checks neither wait for pictures nor are refused because of them.
        self._small_turns = _Turns(1, timeout, PATIENCE_SECONDS_SMALL)

    @asynccontextmanager
    async def for_model(self) -> AsyncIterator[Read]:
        """Reads a message with pictures, counted against the budget until the block ends.

        Raises:
            ApiError: 503 where the queue is full or bodies may already take all the memory they may,
                408 where the message does not arrive in time, 400 where there is none.
        """
        held = 0

        async def read(call: Call) -> bytes:
            nonlocal held
            if refusal := self._full():
                raise refusal
            async with self._turns.turn():
                self._budget.take(self._limit)
                held = self._limit
                message = await self._turns.read(call)
            self._budget.give_back(held - len(message))
            held = len(message)
            return message

        try:
            yield read
        finally:
            self._budget.give_back(held)

    @asynccontextmanager
    async def small(self) -> AsyncIterator[Read]:
        """Reads any other message, one at a time until the block ends. Raises ApiError as `for_model`."""
        async with self._small_turns.turn():
            yield self._small_turns.read


class _Turns:
    """At most `most` messages on their way, each for `timeout` seconds, or `patience` where others wait."""

    def __init__(self, most: int, timeout: float, patience: float) -> None:
        self._free = asyncio.Semaphore(most)
        self._timeout = timeout
        self._patience = min(timeout, patience)
        self._waiting = 0
        self._reading: dict[asyncio.Timeout, float] = {}

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        if self._free.locked():
            self._hurry()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout):
                await self._free.acquire()
        except TimeoutError:
            raise overloaded("BodiesFull", "messages of other requests are still on their way") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()

    def _hurry(self) -> None:
        now = asyncio.get_running_loop().time()
        for limit, patient_until in self._reading.items():
            if not limit.expired():
                limit.reschedule(max(now, patient_until))

    async def read(self, call: Call) -> bytes:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._patience if self._waiting else self._timeout) as limit:
                self._reading[limit] = began + self._patience
                try:
                    message = await call.read()
                finally:
                    del self._reading[limit]
        except TimeoutError:
            seconds = asyncio.get_running_loop().time() - began
            raise ApiError(
                HTTPStatus.REQUEST_TIMEOUT,
                "BodyTimeout",
                f"the message did not arrive within {seconds:.0f} seconds",
            ) from None
        if message is grpc.aio.EOF:
            raise bad_request("RequestInvalid", "the call ended without a message")
        return bytes(message)
