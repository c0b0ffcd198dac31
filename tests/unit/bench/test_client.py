"""The load generator's own HTTP client, against real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bench import protocols
from bench.client import Answer, Client
from bench.pictures import Picture

PICTURE = Picture("x", b"jpeg", 7)
RIGHT = b'{"predictions": [{"class_id": 7}]}'


class Server:
    """Answers each request of a connection with the next bytes, and keeps what was asked."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self._answers = list(answers)
        self.connections = 0
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self._answers and (head := await self._head(reader)):
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.requests.append(head + await reader.readexactly(length))
            answer = self._answers.pop(0)
            writer.write(answer)
            if b"Connection: close" in answer or not answer:
                break
        writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""


@asynccontextmanager
async def serving(*answers: bytes) -> AsyncIterator[tuple[Server, Client]]:
    server = Server(answers)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    client = Client("127.0.0.1", listener.sockets[0].getsockname()[1])
    try:
        yield server, client
    finally:
        client.close()
        listener.close()


def whole(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


async def test_a_connection_is_kept_for_the_next_request() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n1\r\n!\r\n0\r\n\r\n"
    async with serving(whole(b"one"), chunked) as (server, client):
        request = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        assert await client.ask(request) == Answer(200, b"one")
        assert await client.ask(request) == Answer(200, b"four!")
    assert server.connections == 1


async def test_a_connection_that_the_server_closes_is_replaced() -> None:
    closing = whole(b"bye", more="Connection: close\r\n")
    async with serving(closing, whole(b"again")) as (server, client):
        request = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        assert (await client.ask(request)).body == b"bye"
        assert (await client.ask(request)).body == b"again"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "error"), [(b"", ConnectionError), (b"this is not HTTP\r\n\r\n", ValueError)]
)
async def test_what_is_no_answer_is_an_error(answer: bytes, error: type[Exception]) -> None:
    async with serving(answer) as (_, client):
        with pytest.raises(error):
            await client.ask(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")


async def test_a_picture_is_sent_whole_to_the_named_host() -> None:
    async with serving(whole(RIGHT)) as (server, client):
        send = protocols.over_http(client, protocols.RAW, "/predict", "cats.example")
        assert await send(PICTURE) == 7
    (request,) = server.requests
    assert request.startswith(b"POST /predict HTTP/1.1\r\nHost: cats.example\r\n")
    assert request.endswith(b"\r\n\r\njpeg")


async def test_full_and_refusing_servers_are_told_apart() -> None:
    async with serving(whole(b"", "503 Service Unavailable"), whole(b"why", "400 Bad Request")) as (
        _,
        client,
    ):
        send = protocols.over_http(client, protocols.RAW, "/")
        with pytest.raises(protocols.Shed):
            await send(PICTURE)
        with pytest.raises(ValueError, match="HTTP 400: b'why'"):
            await send(PICTURE)
