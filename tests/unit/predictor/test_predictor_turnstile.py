"""While the queue is full pictures are refused before anything is done for them, and nothing else is."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import uvicorn
import uvloop
from prometheus_client import REGISTRY
from squeeze_predictor import guard, server, turnstile
from squeeze_predictor.access_log import AccessLog
from squeeze_predictor.lifecycle import Phase
from squeeze_predictor.routes.context import Context
from squeeze_predictor.turnstile import Turnstile
from unit.predictor import predictor_app

PREDICT = "/v1/models/default:predict"
INFER = "/v2/models/default/infer"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]


def request(method: str, path: str, body: bytes = b"picture", *more: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


LAST = request("GET", "/v2/health/live", b"", "Connection: close")


@pytest.fixture
def context() -> Context:
    """Of a server that may have 2 pictures."""
    return predictor_app.context("--queue-size=1")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as opened:
        yield opened


class Server:
    """The application behind a real socket, with this many pictures admitted already."""

    def __init__(self, context: Context, listener: socket.socket) -> None:
        self._context = context
        self._listener = listener
        self.lines: list[str] = []

    def talk(self, talk: Talk, admitted: int = 2) -> Any:
        """What one client makes of its connection."""

        async def scenario() -> Any:
            observers = [AccessLog(1.0, self.lines.append)]
            app = server.build_app(self._context, observers)
            protocol: Any = partial(Turnstile, server.build_gate(self._context, observers))
            config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, server_header=False)
            running = uvicorn.Server(config)
            config.load()
            running.lifespan = config.lifespan_class(config)
            await running.startup([self._listener])
            reader, writer = await asyncio.open_connection(*self._listener.getsockname())
            try:
                async with asyncio.timeout(60):
                    return await talk(reader, writer)
            finally:
                writer.transport.abort()
                await running.shutdown([self._listener])

        with patch.object(self._context.model.admission, "_admitted", admitted):
            return uvloop.run(scenario())

    def ask(self, sent: bytes, admitted: int = 2) -> bytes:
        """All that the server sends until it closes the connection."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
            writer.write(sent)
            return await reader.read()

        received: bytes = self.talk(talk, admitted)
        return received


@pytest.fixture
def running(context: Context, listener: socket.socket) -> Server:
    return Server(context, listener)


def codes(received: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1.1 (\d+)", received)


def counted(path: str) -> float:
    labels = {"route": path.replace("default", "{model_name}"), "code": "503"}
    return REGISTRY.get_sample_value("squeeze_requests_total", labels) or 0


@pytest.mark.parametrize(("method", "path"), [("POST", PREDICT), ("PUT", PREDICT), ("POST", INFER)])
def test_a_picture_is_refused_while_the_queue_is_full(running: Server, method: str, path: str) -> None:
    before = counted(path)
    received = running.ask(request(method, path + "?top_k=1", bytes(300_000)) + LAST)
    assert codes(received) == [b"503", b"200"], "and the connection goes on"
    assert b"\r\nretry-after: 1\r\n" in received
    assert b"\r\ncontent-type: application/json\r\n" in received
    assert b"2 pictures are being answered or waiting, of 2 that may" in received
    assert counted(path) == before + 1
    assert REGISTRY.get_sample_value("squeeze_requests_in_flight") == 0
    assert '"status":503' in running.lines[0]
    assert '"bytes_in":300000' in running.lines[0]


@pytest.mark.parametrize("path", [PREDICT, PREDICT.replace(":", "%3A"), INFER])
def test_the_application_is_not_asked(running: Server, path: str) -> None:
    with patch.object(guard.Guard, "__call__", side_effect=AssertionError):
        assert codes(running.ask(request("POST", path, b"picture", "Connection: close"))) == [b"503"]


@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_the_last_place_of_the_queue_can_be_taken(running: Server, path: str) -> None:
    # What answers is behind the turnstile: there is no model yet.
    assert b"NotReady" in running.ask(request("POST", path, b"x", "Connection: close"), admitted=1)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PREDICT, b"405"),
        ("PUT", INFER, b"405"),
        ("POST", "/v1/models/other:predict", b"404"),
        ("GET", "/v2/health/live", b"200"),
        ("GET", "/metrics", b"200"),
    ],
)
def test_a_full_queue_refuses_nothing_else(running: Server, method: str, path: str, status: bytes) -> None:
    assert codes(running.ask(request(method, path, b"", "Connection: close"))) == [status]


def test_many_refusals_on_one_connection_are_answered_in_order(running: Server) -> None:
    received = running.ask(request("POST", PREDICT) * 3000 + LAST)
    assert codes(received) == [b"503"] * 3000 + [b"200"]


def test_the_answer_waits_for_the_body(running: Server) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        sent = request("POST", PREDICT, bytes(100_000), "Connection: close")
        writer.write(sent[:-1])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.5)
        writer.write(sent[-1:])
        return await reader.read()

    assert codes(running.talk(talk)) == [b"503"]


def test_a_body_in_chunks_is_refused_too(running: Server) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert codes(running.ask(head + b"5\r\nhello\r\n0\r\n\r\n" + LAST)) == [b"503", b"200"]


def test_a_client_that_waits_for_continue_is_refused_before_it_sends(running: Server) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    received = running.ask(head.encode())
    assert codes(received) == [b"503"]
    assert b"\r\nconnection: close\r\n" in received


@pytest.mark.parametrize("head", ["Content-Length: 50000", "Transfer-Encoding: chunked"])
def test_a_body_too_large_to_be_read_in_vain_ends_its_connection(running: Server, head: str) -> None:
    start = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode()
    with patch.object(turnstile, "DRAIN_BYTES", 10_000):
        received = running.ask(start + b"2ee0\r\n" + bytes(12_000))
    assert codes(received) == [b"503"]
    assert b"\r\nconnection: close\r\n" in received


def test_a_body_that_does_not_come_ends_its_connection(running: Server) -> None:
    with patch.object(turnstile, "DRAIN_SECONDS", 0.2):
        received = running.ask(request("POST", PREDICT)[:-1])
    assert codes(received) == [b"503"]
    assert b"\r\nconnection: close\r\n" in received


def test_a_client_that_leaves_in_mid_body_is_counted_and_forgotten(running: Server) -> None:
    before = counted(PREDICT)

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(request("POST", PREDICT)[:-1])
        await writer.drain()
        while REGISTRY.get_sample_value("squeeze_requests_in_flight") != 1:
            await asyncio.sleep(0.01)
        writer.transport.abort()
        while REGISTRY.get_sample_value("squeeze_requests_in_flight") != 0:
            await asyncio.sleep(0.01)

    running.talk(talk)
    assert counted(PREDICT) == before + 1


def test_a_refusal_sends_clients_elsewhere_while_the_server_stops(running: Server, context: Context) -> None:
    context.lifecycle.phase = Phase.DRAINING
    received = running.ask(request("POST", PREDICT))
    assert codes(received) == [b"503"]
    assert b"\r\nconnection: close\r\n" in received


def test_a_client_that_reads_no_answers_is_not_read_either(running: Server) -> None:
    """Tiny requests and larger answers must not fill the server's memory."""
    many = request("POST", PREDICT) * 1000

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _number in range(2**30 // len(many)):
            writer.write(many)
            await asyncio.wait_for(writer.drain(), 2)

    with pytest.raises(TimeoutError):
        running.talk(talk)
