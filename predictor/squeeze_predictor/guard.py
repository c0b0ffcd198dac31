"""The outermost layer of the application: what must hold for every request, whatever route it took.

Counts and times it, answers an unexpected exception with a plain 500, and keeps the connection usable:
an answer sent before the body was read is followed by that body on the same connection, so a bounded
amount of it is read and thrown away, and beyond that the connection is closed.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from time import perf_counter
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from squeeze_predictor import metrics
from squeeze_predictor.errors import ApiError

log = logging.getLogger(__name__)

DRAIN_BYTES = 64 * 1024 * 1024
DRAIN_SECONDS = 10.0
CLOSE = (b"connection", b"close")
# What metrics and logs call the route of a page that is not there.
NO_ROUTE = "other"


class Guard:
    """ASGI middleware. `stopping` tells whether clients should go elsewhere for their next request."""

    def __init__(self, app: ASGIApp, stopping: Callable[[], bool]) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._stopping)
        began = perf_counter()
        metrics.IN_FLIGHT.inc()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            log_unexpected(error)
            if exchange.status is not None:
                raise ConnectionError("answer cut short") from None
            await exchange.send_error()
        finally:
            metrics.IN_FLIGHT.dec()
            route = route_label(scope)
            metrics.REQUESTS.labels(route=route, code=str(exchange.status or 499)).inc()
            metrics.REQUEST_SECONDS.labels(route=route).observe(perf_counter() - began)


def route_label(scope: Scope) -> str:
    """The template of the route that matched, so that a client's paths never become label values."""
    return str(getattr(scope.get("route"), "path", NO_ROUTE))


def log_unexpected(error: Exception) -> None:
    """Logs where an exception came from, and nothing of what it says."""
    # Frames only: the message of an exception may quote what the client sent.
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("unexpected %s\n%s", type(error).__name__, frames)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, stopping: Callable[[], bool]) -> None:
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"")
        self._declared = int(declared) if declared.isdigit() else 0
        self._whole = self._declared == 0 and b"transfer-encoding" not in headers
        self._awaits_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        self._read = 0
        self._receive = receive
        self._send = send
        self._stopping = stopping
        self.status: int | None = None

    async def receive(self) -> Message:
        # Asking for the body is what makes the server answer "100 Continue".
        self._awaits_continue = False
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._whole = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            if not self._whole and CLOSE not in headers:
                await self._drain()
                headers += [] if self._whole else [CLOSE]
            if self._stopping() and CLOSE not in headers:
                headers.append(CLOSE)
            message = {**message, "headers": headers}
            self.status = message["status"]
        await self._send(message)

    async def _drain(self) -> None:
        # A client that waits for "100 Continue" has sent nothing yet and will not, once it is refused.
        if self._awaits_continue or self._declared - self._read > DRAIN_BYTES:
            return
        end = self._read + DRAIN_BYTES
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._whole and self._read <= end:
                    await self.receive()
        except TimeoutError:
            return

    async def send_error(self) -> None:
        error = ApiError(500, "InternalError", "the server failed to answer this request")
        metrics.REFUSED.labels(reason=error.reason).inc()
        body = orjson.dumps(error.body())
        headers: list[Any] = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await self.send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
