"""The access log: which requests it takes, and what it says of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from squeeze_predictor import server
from squeeze_predictor.access_log import AccessLog, line, trace_id_of
from squeeze_predictor.observing import Exchange, observed
from unit.predictor.predictor_app import ask, context

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def routes_taken(share: float, exchanges: Sequence[Exchange]) -> list[str]:
    """The routes of the requests that are written, in order."""
    lines: list[str] = []
    log = AccessLog(share, lines.append)
    for exchange in exchanges:
        with observed([log], exchange):
            pass
    return [json.loads(text)["route"] for text in lines]


def requests(*routes: str, failed: bool = False) -> list[Exchange]:
    return [Exchange("http", "GET", route=route, failed=failed) for route in routes]


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.99, 1.0])
def test_the_share_is_kept(share: float) -> None:
    count = 10_000
    assert abs(len(routes_taken(share, requests(*["/"] * count))) - share * count) <= 5


def test_every_kind_gets_its_share_of_requests_that_alternate() -> None:
    """As probes and predictions do."""
    routes = routes_taken(0.5, requests(*["/probe", "/predict"] * 1000))
    assert abs(routes.count("/probe") - 500) <= 10
    assert abs(routes.count("/predict") - 500) <= 10


def test_failed_requests_are_always_written() -> None:
    assert len(routes_taken(0.01, requests(*["/"] * 100, failed=True))) == 100


def test_nothing_is_written_where_the_share_is_0() -> None:
    assert routes_taken(0.0, requests(*["/"] * 100, failed=True)) == []


def test_a_line_says_what_became_of_the_request() -> None:
    exchange = Exchange("grpc", "ModelInfer", TRACEPARENT, "", "/s/ModelInfer", "OK", False, 10, 20)
    assert json.loads(line(exchange, datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), 0.0123456)) == {
        "time": "2026-01-02T03:04:05.678+00:00",
        "protocol": "grpc",
        "method": "ModelInfer",
        "route": "/s/ModelInfer",
        "status": "OK",
        "milliseconds": 12.346,
        "bytes_in": 10,
        "bytes_out": 20,
        "trace_id": TRACE,
    }


@pytest.mark.parametrize(
    "header",
    [
        "",
        TRACE,
        TRACEPARENT.upper(),
        TRACEPARENT.replace(TRACE, "0" * 32),
        TRACEPARENT.replace("b7ad6b7169203331", "0" * 16),
        "ff" + TRACEPARENT[2:],
        TRACEPARENT + "\n",
        TRACEPARENT[:-1],
    ],
)
def test_only_a_valid_header_gives_a_trace_id(header: str) -> None:
    assert trace_id_of(TRACEPARENT) == TRACE
    assert trace_id_of(header) is None


async def test_the_application_fills_in_what_it_knows() -> None:
    lines: list[str] = []
    app = server.build_app(context(), [AccessLog(1.0, lines.append)])
    page = await ask(app, "GET", "/v1/models", query=b"secret=1", headers=[(b"x-secret", b"2")])
    await ask(app, "PURGE", "/secret", b"secret")
    await ask(app, "GET", "/v2/health/ready", headers=[(b"traceparent", TRACEPARENT.encode())])
    first, second, third = (json.loads(text) for text in lines)
    assert (first["method"], first["route"], first["status"]) == ("GET", "/v1/models", 200)
    assert first["bytes_out"] == len(page.body)
    assert (second["method"], second["route"], second["status"]) == ("OTHER", "other", 404)
    assert (third["status"], third["trace_id"]) == (503, TRACE)
    assert "secret" not in "".join(lines)
