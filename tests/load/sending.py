"""The open loop: each request counts from when it was due, whether or not earlier ones were answered.

A server that stalls cannot hide it, because what was due meanwhile counts its waiting (no coordinated
omission).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import orjson

from bench.client import Answer, Client
from bench.pictures import Picture

SHEDDING = frozenset({"QueueFull", "BodiesFull"})
"""Reasons by which a replica says 503 on purpose; a 503 of the gateway's own has no such body."""


class Outcome(StrEnum):
    """What became of a request."""

    RIGHT = "right"
    SHED = "shed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """When it was due (monotonic clock), the seconds from then to its answer, and what came."""

    due: float
    seconds: float
    outcome: Outcome
    why: str = ""


Verdict = tuple[Outcome, str]
Ask = Callable[[], Awaitable[Verdict]]


def classify(client: Client, picture: Picture, model: str, host: str) -> Ask:
    """Asks a model behind a gateway for a picture's class, over and over."""
    head = (
        f"POST /v1/models/{model}:predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: {picture.media_type}\r\n"
        f"Content-Length: {len(picture.data)}\r\n\r\n"
    )
    request = head.encode() + picture.data

    async def ask() -> Verdict:
        try:
            answer = await client.ask(request)
        except (OSError, ValueError) as error:
            return Outcome.FAILED, f"{type(error).__name__}: {error}"[:200]
        return judge(answer, picture.class_id)

    return ask


def judge(answer: Answer, class_id: int) -> Verdict:
    """Whether an answer is the right one, deliberate shedding, or a failure, and why."""
    try:
        body = orjson.loads(answer.body)
        if answer.status == 503 and body["error"]["reason"] in SHEDDING:
            return Outcome.SHED, str(body["error"]["reason"])
        if answer.status == 200 and body["predictions"][0]["class_id"] == class_id:
            return Outcome.RIGHT, ""
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    return Outcome.FAILED, f"HTTP {answer.status}: {answer.body[:120]!r}"


class OpenLoop:
    """Sends by the clock and keeps what became of every request."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.requests: list[Request] = []

    async def run(self, offsets: Iterable[float], stop: asyncio.Event | None = None) -> None:
        """Sends a request at each of these seconds from now, until `stop`; returns when all are answered."""
        began, stop = time.monotonic(), stop or asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for offset in offsets:
                if await _set_before(stop, began + offset):
                    break
                group.create_task(self._one(began + offset))

    async def _one(self, due: float) -> None:
        outcome, why = await self._ask()
        self.requests.append(Request(due, time.monotonic() - due, outcome, why))


async def _set_before(stop: asyncio.Event, due: float) -> bool:
    """Waits until it is due; whether `stop` came first."""
    wait = due - time.monotonic()
    if wait > 0 and not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)
    return stop.is_set()
