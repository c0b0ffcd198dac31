"""Refuses pictures at once while the queue is full, before anything else is done for them.

At three times what a server can carry, two requests in three are refused, and what each costs is taken from
those that are answered. So uvicorn's protocol itself refuses them, as soon as it has the headers: there is no
task, no application and no copy of the body, which is thrown away as it arrives. The answer follows the body,
since many clients send all of it before they read, and proxies give up a connection that answers sooner.
"""

from __future__ import annotations

from asyncio import TimerHandle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import orjson
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from squeeze_predictor import metrics
from squeeze_predictor.errors import ApiError
from squeeze_predictor.guard import CLOSE, DRAIN_BYTES, DRAIN_SECONDS
from squeeze_predictor.http_observer import exchange_of
from squeeze_predictor.observing import Exchange, Observer, observed

# Of a route that leaves them to its endpoint.
METHODS = ("POST", "PUT")


@dataclass(frozen=True)
class Gate:
    """``routes``: path templates by method and path; ``full`` gives the refusal, if any.

    ``stopping`` tells whether clients should go elsewhere for their next request.
    """

    routes: Mapping[tuple[str, str], str]
    full: Callable[[], ApiError | None]
    stopping: Callable[[], bool]
    observers: Sequence[Observer] = ()


def routes_of(classifying: Sequence[Route], model_name: str) -> dict[tuple[str, str], str]:
    """The routes of a `Gate`: all that classify with this model."""
    return {
        (method, route.path.format(model_name=model_name)): route.path
        for route in classifying
        for method in route.methods or METHODS
    }


class Turnstile(HttpToolsProtocol):
    """uvicorn's connection with a gate before the application."""

    def __init__(self, gate: Gate, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate = gate
        self._refused: _Refused | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        route = self._gate.routes.get((cycle.scope["method"], cycle.scope["path"]))
        # Answers that nobody reads must wait, and the application waits. It also gets pipelined requests that
        # are there already: the answer to one would start the next from within.
        if route is None or self.flow.write_paused or not cycle.more_body:
            refusal = None
        else:
            refusal = self._gate.full()
        if refusal is None:
            super()._start_asgi_task(cycle, app)
            return
        timer = self.loop.call_later(DRAIN_SECONDS, self._answer, True)
        self._refused = _Refused(cycle, str(route), refusal, timer)
        if not self._refused.drains:
            self._answer(close=True)

    def on_body(self, body: bytes) -> None:
        if self._refused is None:
            super().on_body(body)
            return
        self._refused.drained += len(body)
        if self._refused.drained > DRAIN_BYTES:
            self._answer(close=True)

    def on_message_complete(self) -> None:
        if self._refused is None:
            super().on_message_complete()
        else:
            self._answer(close=False)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._refused is not None:
            self._refused.end(self._gate.observers)
            self._refused = None
        super().connection_lost(exc)

    def _answer(self, close: bool) -> None:
        refused, self._refused = self._refused, None
        assert refused is not None
        cycle = refused.cycle
        close = close or not cycle.keep_alive or self._gate.stopping()
        self.transport.write(refused.answer(self.server_state.default_headers, close))
        cycle.response_complete = True
        refused.end(self._gate.observers)
        if close:
            self.transport.close()
        self.on_response_complete()


class _Refused:
    """One request that is refused, until its answer is sent."""

    def __init__(self, cycle: RequestResponseCycle, route: str, error: ApiError, timer: TimerHandle) -> None:
        self.cycle = cycle
        self.drained = 0
        self._route = route
        self._error = error
        self._timer = timer
        self._body = orjson.dumps(error.body())
        self._began = perf_counter()
        metrics.IN_FLIGHT.inc()

    @property
    def drains(self) -> bool:
        """Whether the answer waits for the body."""
        # A client that waits for "100 Continue" has sent nothing yet and will not, once it is refused.
        if self.cycle.waiting_for_100_continue:
            return False
        lengths = (value for name, value in self.cycle.scope["headers"] if name == b"content-length")
        return int(next(lengths, 0)) <= DRAIN_BYTES

    def answer(self, defaults: Sequence[tuple[bytes, bytes]], close: bool) -> bytes:
        """The whole response; ``defaults`` are uvicorn's own headers."""
        headers = [*defaults, (b"content-type", b"application/json")]
        headers += [(name.lower().encode(), value.encode()) for name, value in self._error.headers.items()]
        headers.append((b"content-length", b"%d" % len(self._body)))
        headers += [CLOSE] if close else []
        lines = [b"%b: %b\r\n" % header for header in headers]
        return b"".join([STATUS_LINE[self._error.status], *lines, b"\r\n", self._body])

    def end(self, observers: Sequence[Observer]) -> None:
        """Counts it and shows it to the observers."""
        self._timer.cancel()
        metrics.IN_FLIGHT.dec()
        metrics.REFUSED.labels(reason=self._error.reason).inc()
        metrics.REQUESTS.labels(route=self._route, code=str(int(self._error.status))).inc()
        metrics.REQUEST_SECONDS.labels(route=self._route).observe(perf_counter() - self._began)
        if observers:
            self._show(exchange_of(self.cycle.scope), observers)

    def _show(self, exchange: Exchange, observers: Sequence[Observer]) -> None:
        exchange.route, exchange.status, exchange.failed = self._route, int(self._error.status), True
        exchange.bytes_in, exchange.bytes_out = self.drained, len(self._body)
        with observed(observers, exchange):
            pass
