"""SIGTERM while clients go on sending: each accepted request is answered, and the server ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from integration.apiserver import free_port
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor, running
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as service

PICTURE = (inputs.DIGITS / "samples" / "7.png").read_bytes()
# More of them find rarer races: 50 in a run by hand.
ROUNDS = int(os.environ.get("SQUEEZESERVE_SIGTERM_ROUNDS", "2"))
DRAIN_SECONDS = 2.0
# How late a Service hears that a replica is not ready any more; the drain is there for that.
LAG_SECONDS = 0.4
CLIENTS = 8


@dataclass
class Traffic:
    """What the clients of one server met; `lost` has a line for each request that got no answer.

    While `endpoint` holds, a Service would give them new connections to the server.
    """

    endpoint: bool = True
    answered: int = 0
    reconnected: int = 0
    lost: list[str] = field(default_factory=list)


async def http_client(port: int, traffic: Traffic) -> None:
    """Sends on one connection until the server closes it, then on a new one, while one can be had."""
    head = f"POST /v1/models/digits:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PICTURE)}\r\n\r\n"
    while traffic.endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                writer.write(head.encode() + PICTURE)
                answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(answer.partition("content-length: ")[2].split()[0])
                await reader.readexactly(length)
                if answer.startswith("http/1.1 200"):
                    traffic.answered += 1
                else:
                    traffic.lost.append(answer)
                if "connection: close" in answer:
                    traffic.reconnected += 1
                    break
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            traffic.lost.append(repr(error))
        finally:
            writer.close()


async def grpc_client(port: int, traffic: Traffic) -> None:
    """Calls on one channel while a connection can be had."""
    raw = len(PICTURE).to_bytes(4, "little") + PICTURE
    message = pb.ModelInferRequest(
        model_name="digits",
        inputs=[{"name": "image", "datatype": "BYTES", "shape": [1]}],
        raw_input_contents=[raw],
    )
    # Otherwise the channels share a connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        while True:
            try:
                await stub.ModelInfer(message, timeout=60)
                traffic.answered += 1
            except grpc.aio.AioRpcError as error:
                if "failed to connect" not in (error.details() or ""):
                    traffic.lost.append(f"{error.code()}: {error.details()}")
                return


@asynccontextmanager
async def kubernetes_service(target: int) -> AsyncIterator[asyncio.Server]:
    """A port that carries connections to `target`; closing it leaves those that are open."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(carry(reader, upstream_writer), carry(upstream_reader, writer))

    yield await asyncio.start_server(connect, "127.0.0.1", 0)


async def storm(predictor: Predictor, grpc_port: int) -> Traffic:
    """SIGTERM once every client has had answers; returns when all clients have ended.

    As with a Service, they get no new connection from some time after the server is not ready.
    """
    traffic = Traffic()
    async with (
        asyncio.timeout(120),
        kubernetes_service(grpc_port) as through,
        asyncio.TaskGroup() as clients,
    ):
        for _ in range(CLIENTS):
            clients.create_task(http_client(predictor.port, traffic))
            clients.create_task(grpc_client(through.sockets[0].getsockname()[1], traffic))
        while traffic.answered < 5 * CLIENTS:
            await asyncio.sleep(0.01)
        predictor.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(LAG_SECONDS)
        traffic.endpoint = False
        through.close()
    return traffic


@pytest.mark.parametrize("number", range(ROUNDS))
def test_no_accepted_request_is_lost(tmp_path: Path, number: int) -> None:
    port = free_port()
    flags = (
        "--weights=builtin://digits",
        f"--grpc-port={port}",
        f"--drain-seconds={DRAIN_SECONDS}",
        "--grace-seconds=20",
    )
    with running(tmp_path, *flags) as predictor:
        traffic = asyncio.run(storm(predictor, port))
        assert predictor.process.wait(30) == 0
    assert traffic.lost == [], f"round {number}: {traffic.answered} answered"
    assert traffic.reconnected, "no client was told to go elsewhere"
    assert predictor.reason == ""
    assert "Traceback" not in predictor.log
