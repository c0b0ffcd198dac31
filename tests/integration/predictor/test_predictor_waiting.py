"""Clients that stop waiting: by a deadline, by leaving, by cancelling. Their requests cost no inference."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from integration.apiserver import free_port
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor, running
from integration.predictor.test_predictor_overload import metric, wait_until_idle
from PIL import Image
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as service

PREDICT = "/v1/models/digits:predict"
INFER = "/v2/models/digits/infer"
DEADLINE = "x-envoy-expected-rq-timeout-ms"
QUEUE = 40
PICTURE = inputs.png(64, 64)


def large_picture() -> bytes:
    """49 million pixels: the most work that one picture may be."""
    buffer = io.BytesIO()
    Image.new("L", (7000, 7000), 200).save(buffer, "PNG")
    return buffer.getvalue()


LARGE = large_picture()


@dataclass(frozen=True)
class Server:
    """A server with one worker."""

    predictor: Predictor
    address: str


@pytest.fixture(scope="module")
def server(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    flags = (f"--weights={weights}", f"--grpc-port={port}", "--threads=1", f"--queue-size={QUEUE}")
    with running(tmp_path_factory.mktemp("waiting"), *flags) as predictor:
        yield Server(predictor, f"127.0.0.1:{port}")


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.predictor.client() as opened:
        yield opened


def message(picture: bytes = PICTURE) -> Any:
    return pb.ModelInferRequest(
        model_name="digits",
        inputs=[{"name": "image", "datatype": "BYTES", "shape": [1]}],
        raw_input_contents=[len(picture).to_bytes(4, "little") + picture],
    )


@dataclass(frozen=True)
class Busy:
    """A server whose only worker has large pictures before it, and a client of it."""

    client: httpx.AsyncClient
    large: list[asyncio.Task[httpx.Response]]

    def check(self) -> None:
        """Fails unless the worker is still at them."""
        assert not all(task.done() for task in self.large)


@asynccontextmanager
async def busy(server: Server, count: int) -> AsyncIterator[Busy]:
    """Sends `count` large pictures; all of them have been answered when the block is left."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.predictor.url, timeout=120, limits=limits) as client:
        large = [asyncio.create_task(client.post(PREDICT, content=LARGE)) for _ in range(count)]
        # All but the one that is computed.
        while await queued(client) < count - 1:
            await asyncio.sleep(0.01)
        yield Busy(client, large)
        for response in await asyncio.gather(*large):
            assert response.status_code == 200


async def queued(client: httpx.AsyncClient) -> float:
    page = (await client.get("/metrics")).text
    return float(page.partition("\nsqueeze_requests_queued ")[2].split()[0])


def reason(response: httpx.Response) -> str:
    found: str = response.json()["error"]["reason"]
    return found


@pytest.mark.parametrize("path", [PREDICT, INFER])
async def test_a_deadline_ends_a_wait_while_the_worker_is_busy(
    server: Server, client: httpx.Client, path: str
) -> None:
    pictures = metric(client, "squeeze_pictures_total")
    async with busy(server, 3) as occupied:
        sender = occupied.client
        late = await sender.post(path, content=PICTURE, headers={DEADLINE: "50"})
        occupied.check()
        assert (late.status_code, reason(late)) == (504, "DeadlineExceeded")
        for patience in ("100000", "0"):
            assert (await sender.post(path, content=PICTURE, headers={DEADLINE: patience})).status_code == 200
    assert metric(client, "squeeze_pictures_total") - pictures == 3 + 2


async def test_a_deadline_of_grpc_is_kept_while_the_worker_is_busy(
    server: Server, client: httpx.Client
) -> None:
    pictures, abandoned = (
        metric(client, f"squeeze_{name}_total") for name in ("pictures", "requests_abandoned")
    )
    async with busy(server, 6) as occupied, grpc.aio.insecure_channel(server.address) as channel:
        await channel.channel_ready()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.GRPCInferenceServiceStub(channel).ModelInfer(message(), timeout=0.5)
        occupied.check()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert metric(client, "squeeze_pictures_total") - pictures == 6
    assert metric(client, "squeeze_requests_abandoned_total") - abandoned == 1


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "9" * 13])
def test_a_deadline_that_is_no_number_is_refused(client: httpx.Client, value: str) -> None:
    response = client.post(PREDICT, content=PICTURE, headers={DEADLINE: value})
    assert (response.status_code, reason(response)) == (400, "HeaderInvalid")


async def impatient(port: int) -> str:
    """Sends a picture and leaves after 0.2 seconds without an answer; gives what became of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PICTURE)}\r\n\r\n".encode())
    writer.write(PICTURE)
    try:
        async with asyncio.timeout(0.2):
            return (await reader.readline()).decode().strip()
    except TimeoutError:
        return "left"
    finally:
        writer.close()


async def test_work_of_a_thousand_clients_that_left_is_never_done(
    server: Server, client: httpx.Client
) -> None:
    names = ("squeeze_pictures_total", "squeeze_requests_abandoned_total", "squeeze_requests_rejected_total")
    before = [metric(client, name) for name in names]
    waves = 10

    outcomes: Counter[str] = Counter()
    async with busy(server, 12) as occupied:
        sender = occupied.client
        for _ in range(waves):
            outcomes.update(
                await asyncio.gather(*(impatient(server.predictor.port) for _ in range(1000 // waves)))
            )
        # Those who left hold no place: the queue is as long as it was.
        while await queued(sender) > 11:
            await asyncio.sleep(0.01)
        occupied.check()
        assert (await sender.post(PREDICT, content=PICTURE)).status_code == 200
    wait_until_idle(client)
    pictures, abandoned, rejected = (
        metric(client, name) - was for name, was in zip(names, before, strict=True)
    )
    assert pictures == 12 + 1
    # A refusal may have come too late for its client.
    assert abandoned <= outcomes["left"]
    assert abandoned + rejected == 1000
    assert abandoned > QUEUE, "more left than the queue holds: each made room for another"


async def test_cancelled_calls_are_dropped_before_inference(server: Server, client: httpx.Client) -> None:
    pictures, abandoned = (
        metric(client, f"squeeze_{name}_total") for name in ("pictures", "requests_abandoned")
    )
    async with busy(server, 4) as occupied, grpc.aio.insecure_channel(server.address) as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer(message()) for _ in range(20)]
        while await queued(occupied.client) < 3 + 20:
            await asyncio.sleep(0.01)
        for call in calls:
            call.cancel()
        while await queued(occupied.client) > 3:
            await asyncio.sleep(0.01)
        occupied.check()
    assert metric(client, "squeeze_pictures_total") - pictures == 4
    assert metric(client, "squeeze_requests_abandoned_total") - abandoned == 20


async def test_a_full_queue_refuses_calls_as_unavailable_and_health_goes_on(
    server: Server, client: httpx.Client
) -> None:
    async with busy(server, 4) as occupied, grpc.aio.insecure_channel(server.address) as channel:
        stub, health = service.GRPCInferenceServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        calls = [stub.ModelInfer(message(), timeout=120) for _ in range(3 * QUEUE)]
        checks = [await health.Check(health_pb2.HealthCheckRequest(), timeout=1) for _ in range(5)]
        occupied.check()
        assert {check.status for check in checks} == {health_pb2.HealthCheckResponse.SERVING}
        results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert len(refused) == 3 * QUEUE - (1 + QUEUE - 4)
    assert {error.code() for error in refused} == {grpc.StatusCode.UNAVAILABLE}
    assert {dict(error.trailing_metadata())["squeeze-reason"] for error in refused} == {"QueueFull"}
    wait_until_idle(client)


async def test_probes_are_answered_while_large_pictures_are_computed(server: Server) -> None:
    """As the kubelet asks: a second for each probe, and three failures in a row are a restart."""
    failures = longest = 0
    async with busy(server, 6) as occupied, grpc.aio.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for _ in range(20):
            try:
                for page in ("/v2/health/live", "/v2/health/ready"):
                    assert (await occupied.client.get(page, timeout=1)).status_code == 200
                await health.Check(health_pb2.HealthCheckRequest(), timeout=1)
                failures = 0
            except (httpx.TimeoutException, grpc.aio.AioRpcError):
                failures += 1
                longest = max(longest, failures)
            await asyncio.sleep(0.05)
        occupied.check()
    assert longest < 3
