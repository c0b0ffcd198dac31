"""The one budget of bytes for bodies over HTTP and messages over gRPC, on a server that speaks both."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from integration.apiserver import free_port
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor, running
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as service

MIB = 2**20
LARGEST = 64 * MIB
BUDGET = 4 * LARGEST
PICTURE = inputs.png(80, 60)
HEAD = (
    "POST /v1/models/digits:predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    f"Content-Length: {LARGEST}\r\n\r\n"
).encode()


@dataclass
class Server:
    """A real server with room for four of the largest bodies."""

    predictor: Predictor
    grpc_port: int
    sockets: list[socket.socket] = field(default_factory=list)

    def upload(self, size: int) -> socket.socket:
        """A request over HTTP whose first `size` bytes of the body are sent, and no more."""
        connection = self._opened(socket.create_connection(("127.0.0.1", self.predictor.port), 60))
        connection.sendall(HEAD + bytes(size))
        return connection

    def _opened(self, connection: socket.socket) -> socket.socket:
        self.sockets.append(connection)
        return connection

    def cut_off_after(self, size: int) -> int:
        """The port of a way to gRPC that carries so many bytes of a connection's requests, and no more."""
        listener = self._opened(socket.create_server(("127.0.0.1", 0)))
        port: int = listener.getsockname()[1]

        def carry(source: socket.socket, target: socket.socket, left: float) -> None:
            with contextlib.suppress(OSError):
                while left and (data := source.recv(min(65536, int(left)) if left < 1e9 else 65536)):
                    target.sendall(data)
                    left -= len(data)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client = self._opened(listener.accept()[0])
                    server = self._opened(socket.create_connection(("127.0.0.1", self.grpc_port)))
                    for way in ((client, server, size), (server, client, float("inf"))):
                        threading.Thread(target=carry, args=way, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return port

    def held(self) -> int:
        """Bytes that the server counts."""
        page = httpx.get(f"{self.predictor.url}/metrics", timeout=60).text
        return int(float(page.partition("\nsqueeze_body_bytes ")[2].split()[0]))

    def wait_until_held(self, expected: int) -> None:
        end = time.monotonic() + 60
        while (held := self.held()) != expected:
            assert time.monotonic() < end, f"{held} bytes, not {expected}"
            time.sleep(0.02)

    def close(self) -> None:
        for one in self.sockets:
            one.close()


@pytest.fixture(scope="module")
def started(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    flags = (f"--weights={weights}", f"--grpc-port={port}")
    with running(tmp_path_factory.mktemp("bodies"), *flags) as predictor:
        yield Server(predictor, port)


@pytest.fixture
def server(started: Server) -> Iterator[Server]:
    """The server with nothing in its budget."""
    started.wait_until_held(0)
    yield started
    started.close()


def message(picture: bytes = PICTURE) -> Any:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
    raw = len(picture).to_bytes(4, "little") + picture
    return pb.ModelInferRequest(model_name="digits", inputs=[tensor], raw_input_contents=[raw])


def outcome(port: int, sent: Any, **options: Any) -> grpc.RpcError | None:
    """What a call is refused with; None where it is answered."""
    # Otherwise calls to one port share a connection.
    alone = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", alone) as channel:
        try:
            service.GRPCInferenceServiceStub(channel).ModelInfer(sent, timeout=120, **options)
        except grpc.RpcError as error:
            return error
    return None


def reason(error: grpc.RpcError | None) -> str | None:
    return dict(error.trailing_metadata())["squeeze-reason"] if error else None


def test_bodies_and_messages_share_one_budget_at_its_edge(server: Server) -> None:
    uploads = [server.upload(LARGEST - 1) for _ in range(3)]
    server.wait_until_held(3 * (LARGEST - 1))
    uploads.append(server.upload(3))
    server.wait_until_held(BUDGET - LARGEST)
    assert outcome(server.grpc_port, message()) is None, "there is room for one of the largest"

    uploads[-1].sendall(b" ")
    server.wait_until_held(BUDGET - LARGEST + 1)
    refused = outcome(server.grpc_port, message())
    assert refused is not None
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailing = dict(refused.trailing_metadata())
    assert (trailing["squeeze-reason"], trailing["grpc-retry-pushback-ms"]) == ("BodiesFull", "1000")
    assert str(BUDGET) in refused.details()

    # HTTP shows how much has come, so it may go on to the last byte.
    uploads[-1].sendall(bytes(LARGEST - 4 - 1))
    uploads.append(server.upload(3))
    server.wait_until_held(BUDGET - 1)
    assert httpx.post(f"{server.predictor.url}/v1/models/digits:predict", content=PICTURE).status_code == 503
    server.close()
    server.wait_until_held(0)
    assert outcome(server.grpc_port, message()) is None


def test_a_message_on_its_way_counts_as_the_largest_and_gives_way_in_time(server: Server) -> None:
    slow = server.cut_off_after(MIB)
    large = message(PICTURE + bytes(2 * MIB))
    with ThreadPoolExecutor(2) as pool:
        stuck = [pool.submit(outcome, slow, large) for _ in range(2)]
        server.wait_until_held(2 * LARGEST)
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert outcome(server.grpc_port, message()) is None, "waits for a turn, and gets it"
        for one in stuck:
            error = one.result(60)
            assert error is not None
            assert (error.code(), reason(error)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "BodyTimeout")
    server.wait_until_held(0)
    assert "Traceback" not in server.predictor.log


def test_a_client_that_leaves_while_it_sends_gives_its_bytes_back(server: Server) -> None:
    slow = server.cut_off_after(MIB)
    with grpc.insecure_channel(f"127.0.0.1:{slow}") as channel:
        call = service.GRPCInferenceServiceStub(channel).ModelInfer.future(message(bytes(2 * MIB)))
        server.wait_until_held(LARGEST)
        call.cancel()
    server.close()
    server.wait_until_held(0)
    assert outcome(server.grpc_port, message()) is None


async def outcomes(port: int, sent: bytes, count: int) -> Counter[tuple[str, str | None]]:
    """How many calls at a time, on one connection, came to which code and reason."""

    async def one(call: Any) -> tuple[str, str | None]:
        try:
            await call(sent, timeout=120)
        except grpc.RpcError as error:
            return error.code().name, reason(error)
        return "OK", None

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        return Counter(await asyncio.gather(*(one(call) for _ in range(count))))


def test_many_large_messages_take_no_more_memory_than_the_budget_lets_them(server: Server) -> None:
    process = Path(f"/proc/{server.predictor.process.pid}")
    (process / "clear_refs").write_text("5")  # the peak begins anew
    before = resident(process, "VmRSS")
    large = message(PICTURE + bytes(10 * MIB)).SerializeToString()
    found = asyncio.run(outcomes(server.grpc_port, large, 60))
    assert set(found) <= {("OK", None), ("RESOURCE_EXHAUSTED", "BodiesFull"), ("UNAVAILABLE", "QueueFull")}
    assert found["OK", None]
    # The budget once, and again for what is handed over and decoded.
    assert resident(process, "VmHWM") - before < 2 * BUDGET, found


def resident(process: Path, name: str) -> int:
    return int((process / "status").read_text().partition(f"{name}:")[2].split()[0]) * 1024
