"""The access log: a JSON line on stderr for a share of the requests.

It says where a request went and what came of it; nothing that a client chose but its method and trace id.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import perf_counter

import orjson

from squeeze_predictor.observing import Exchange

log = logging.getLogger(__name__)

# Steps of this size around a circle land evenly, and never in step with a pattern of the requests.
_GOLDEN_RATIO = (5**0.5 - 1) / 2
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


class AccessLog:
    """An observer. ``share``: of requests, 0 to 1; where it is above 0, failed ones are always written."""

    def __init__(self, share: float, write: Callable[[str], None] = log.info) -> None:
        self._share = share
        self._phase = 0.0
        self._write = write

    @contextmanager
    def __call__(self, exchange: Exchange) -> Iterator[None]:
        began = perf_counter()
        try:
            yield
        finally:
            if self._sampled() or (exchange.failed and self._share > 0):
                self._write(line(exchange, datetime.now(UTC), perf_counter() - began))

    def _sampled(self) -> bool:
        self._phase = (self._phase + _GOLDEN_RATIO) % 1.0
        return self._phase < self._share


def line(exchange: Exchange, time: datetime, seconds: float) -> str:
    """The JSON object of one request."""
    entry = {
        "time": time.isoformat(timespec="milliseconds"),
        "protocol": exchange.protocol,
        "method": exchange.method,
        "route": exchange.route,
        "status": exchange.status,
        "milliseconds": round(seconds * 1000, 3),
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
    }
    trace_id = exchange.trace_id or trace_id_of(exchange.traceparent)
    return orjson.dumps(entry | ({"trace_id": trace_id} if trace_id else {})).decode()


def trace_id_of(traceparent: str) -> str | None:
    """The trace id of a W3C header; None where there is no valid one."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return match[1] if match else None
