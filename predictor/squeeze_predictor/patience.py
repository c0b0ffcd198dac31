"""How long a request is worked on over HTTP: no longer than its client waits for the answer.

gRPC needs none of this: its library cancels a call that is cancelled, broken off or past its deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.requests import Request

from squeeze_predictor import metrics
from squeeze_predictor.admission import RETRY_AFTER_SECONDS
from squeeze_predictor.errors import CLIENT_CLOSED, ApiError, bad_request

T = TypeVar("T")

# Envoy, and so the gateway, says with it how long it is going to wait; other clients may.
HEADER = "X-Envoy-Expected-Rq-Timeout-Ms"
DIGITS = 12


def milliseconds(text: str | None) -> int | None:
    """The header's value; None where it is missing or 0, Envoy's "no limit". Raises ApiError 400."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > DIGITS:
        raise bad_request("HeaderInvalid", f"{HEADER} must be a whole number of milliseconds", HEADER)
    return int(text) or None


def deadline(request: Request) -> float | None:
    """The loop's time at which a client whose request arrives now stops waiting. Raises ApiError 400."""
    limit = milliseconds(request.headers.get(HEADER))
    return None if limit is None else asyncio.get_running_loop().time() + limit / 1000


async def answer(request: Request, end: float | None, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled at `end` and when the client leaves. The body must be read.

    Raises:
        ApiError: 504 DeadlineExceeded, 499 ClientLeft, or what the work raises.
    """
    left = None if end is None else end - asyncio.get_running_loop().time()
    if left is not None and left <= 0:
        work.close()
        raise _too_late()
    working, leaving = asyncio.create_task(work), asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait([working, leaving], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if leaving.done():
            metrics.ABANDONED.inc()
            raise ApiError(CLIENT_CLOSED, "ClientLeft", "the client closed the connection")
        raise _too_late()
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.wait([working, leaving])


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _too_late() -> ApiError:
    return ApiError(
        HTTPStatus.GATEWAY_TIMEOUT,
        "DeadlineExceeded",
        f"the request was not answered within the time that {HEADER} gives it",
        field=HEADER,
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )
