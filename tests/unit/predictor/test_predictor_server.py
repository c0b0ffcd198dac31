"""The end of the HTTP server: who had connected is answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import uvicorn
import uvloop
from squeeze_predictor.server import _Uvicorn

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def app(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as opened:
        yield opened


async def started(listener: socket.socket) -> _Uvicorn:
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    server = _Uvicorn(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup([listener])
    return server


async def answer(connection: socket.socket) -> bytes:
    received = b""
    while chunk := await asyncio.to_thread(connection.recv, 65536):
        received += chunk
    return received


def test_a_request_that_only_the_kernel_has_accepted_is_answered(listener: socket.socket) -> None:
    async def scenario() -> list[bytes]:
        server = await started(listener)
        # No await between here and the shutdown: the loop sees none of these connections before.
        waiting = [socket.create_connection(listener.getsockname(), 20) for _ in range(5)]
        for connection in waiting:
            connection.sendall(REQUEST)
        await server.shutdown([listener])
        return [await answer(connection) for connection in waiting]

    answers = uvloop.run(scenario())
    assert [received.partition(b"\r\n")[0] for received in answers] == [b"HTTP/1.1 200 OK"] * 5


def test_the_first_request_of_a_new_connection_is_waited_for(listener: socket.socket) -> None:
    async def scenario() -> bytes:
        server = await started(listener)
        address = listener.getsockname()
        connection = await asyncio.to_thread(socket.create_connection, address, 20)
        stopping = asyncio.create_task(server.shutdown([listener]))
        while await asyncio.to_thread(listens, address):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(connection.sendall, REQUEST)
        received = await answer(connection)
        await stopping
        return received

    assert uvloop.run(scenario()).startswith(b"HTTP/1.1 200 OK")


def listens(address: tuple[str, int]) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(address) == 0
