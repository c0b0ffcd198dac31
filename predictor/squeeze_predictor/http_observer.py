"""Shows HTTP requests to the observers: the middleware around all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from squeeze_predictor.errors import CLIENT_CLOSED
from squeeze_predictor.guard import route_label
from squeeze_predictor.observing import Exchange, Observer, observed

# Others that a client may invent are written as this.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
OTHER_METHOD = "OTHER"


class HttpObserver:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, observers: Sequence[Observer]) -> None:
        self._app = app
        self._observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = exchange_of(scope)

        async def counted_receive() -> Message:
            message = await receive()
            exchange.bytes_in += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.failed = message["status"] >= 500
            exchange.bytes_out += len(message.get("body", b""))
            await send(message)

        with observed(self._observers, exchange):
            try:
                await self._app(scope, counted_receive, counted_send)
            finally:
                exchange.route = route_label(scope)


def exchange_of(scope: Mapping[str, Any]) -> Exchange:
    """What observers are shown of a request before it is answered."""
    headers = dict(scope["headers"])
    return Exchange(
        protocol="http",
        method=scope["method"] if scope["method"] in METHODS else OTHER_METHOD,
        traceparent=headers.get(b"traceparent", b"").decode("latin-1"),
        tracestate=headers.get(b"tracestate", b"").decode("latin-1"),
        status=CLIENT_CLOSED,
    )
