"""Reads a request body within its limits: size, time between chunks, and memory of all bodies together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from squeeze_predictor import metrics
from squeeze_predictor.admission import BodyBudget
from squeeze_predictor.errors import CLIENT_CLOSED, ApiError, too_large


@dataclass(frozen=True)
class BodyReader:
    """`idle_timeout`: seconds that may pass without a byte before the request is given up."""

    budget: BodyBudget
    idle_timeout: float

    @asynccontextmanager
    async def read(self, request: Request, limit: int) -> AsyncIterator[bytes]:
        """The whole body, counted against the budget until the block ends.

        Raises:
            ApiError: 413 above `limit` bytes, 408 when the client stops sending, 503 when bodies in
                progress already hold all the memory they may.
        """
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise _above(limit)
        held = 0
        chunks: list[bytes] = []
        try:
            stream = aiter(request.stream())
            while (chunk := await self._next(stream)) is not None:
                if held + len(chunk) > limit:
                    raise _above(limit)
                self.budget.take(len(chunk))
                held += len(chunk)
                chunks.append(chunk)
            body = b"".join(chunks)
            chunks.clear()
            yield body
        finally:
            self.budget.give_back(held)

    async def _next(self, stream: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self.idle_timeout):
                return await anext(stream, None)
        except TimeoutError:
            raise ApiError(
                HTTPStatus.REQUEST_TIMEOUT,
                "BodyTimeout",
                f"no byte of the body arrived for {self.idle_timeout:g} seconds",
                headers={"Connection": "close"},
            ) from None
        except ClientDisconnect:
            metrics.ABANDONED.inc()
            raise ApiError(CLIENT_CLOSED, "ClientLeft", "the client closed the connection") from None


def _above(limit: int) -> ApiError:
    return too_large(f"the body is larger than {limit} bytes", "body", "BodyTooLarge")
