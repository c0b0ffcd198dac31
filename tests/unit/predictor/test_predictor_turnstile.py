"""While the queue is full pictures are refused before anything is done for them, and nothing else is."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest
from prometheus_client import REGISTRY
from squeeze_predictor import server
from unit.predictor import predictor_app

PREDICT = "/v1/models/default:predict"
INFER = "/v2/models/default/infer"


def asked(method: str, path: str, *, admitted: int) -> predictor_app.Answer:
    """The answer of a server that has this many pictures already and may have 2."""
    context = predictor_app.context("--queue-size=1")
    with patch.object(context.model.admission, "_admitted", admitted):
        return asyncio.run(predictor_app.ask(server.build_app(context), method, path, b"picture"))


@pytest.mark.parametrize(("method", "path"), [("POST", PREDICT), ("PUT", PREDICT), ("POST", INFER)])
def test_a_picture_is_refused_while_the_queue_is_full(method: str, path: str) -> None:
    labels = {"route": path.replace("default", "{model_name}"), "code": "503"}
    before = REGISTRY.get_sample_value("squeeze_requests_total", labels) or 0
    refused = asked(method, path, admitted=2)
    assert (refused.status, refused.headers[b"retry-after"]) == (503, b"1")
    assert b"2 pictures are being answered or waiting, of 2 that may" in refused.body
    assert REGISTRY.get_sample_value("squeeze_requests_total", labels) == before + 1


@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_the_last_place_of_the_queue_can_be_taken(path: str) -> None:
    # What answers is behind the turnstile: there is no model yet.
    assert b"NotReady" in asked("POST", path, admitted=1).body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PREDICT, 405),
        ("PUT", INFER, 405),
        ("POST", "/v1/models/other:predict", 404),
        ("GET", "/v2/health/live", 200),
        ("GET", "/metrics", 200),
    ],
)
def test_a_full_queue_refuses_nothing_else(method: str, path: str, status: int) -> None:
    assert asked(method, path, admitted=2).status == status
