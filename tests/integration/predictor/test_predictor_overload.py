"""More requests than the server can take, and clients that leave: refused at once, and forgotten."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
from integration.predictor import predictor_inputs as inputs
from integration.predictor.conftest import MAX_BATCH
from integration.predictor.predictor_process import Predictor

PREDICT = "/v1/models/digits:predict"
# Four pictures of half a megapixel each: the slowest request that the limits allow.
SLOW = {"instances": [{"b64": inputs.b64(inputs.png(1000, 500, seed))} for seed in range(MAX_BATCH)]}


def metric(client: httpx.Client, name: str) -> float:
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name + " ")]
    return float(lines[0].rpartition(" ")[2])


def wait_until_idle(client: httpx.Client) -> None:
    end = time.monotonic() + 60
    # The request for the metrics page itself is in flight.
    while metric(client, "squeeze_requests_in_flight") > 1 or metric(client, "squeeze_requests_queued") > 0:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_full_queue_answers_503_with_retry_after_and_health_goes_on(
    predictor: Predictor, client: httpx.Client
) -> None:
    rejected = metric(client, "squeeze_requests_rejected_total")
    barrier = threading.Barrier(12)

    def post(_: int) -> httpx.Response:
        with predictor.client() as own:
            barrier.wait(60)
            return own.post(PREDICT, json=SLOW)

    with ThreadPoolExecutor(12) as pool:
        responses = pool.map(post, range(12))
        health = [client.get("/v2/health/live") for _ in range(20)]
        answered = list(responses)
    codes = Counter(response.status_code for response in answered)
    assert set(codes) == {200, 503}
    assert {response.status_code for response in health} == {200}
    for response in answered:
        if response.status_code == 503:
            assert response.headers["retry-after"] == "1"
            assert response.json()["error"]["reason"] == "QueueFull"
    wait_until_idle(client)
    assert metric(client, "squeeze_requests_rejected_total") - rejected == codes[503]
    assert client.post(PREDICT, json=SLOW).status_code == 200


def request_bytes(body: bytes, declared: int | None = None) -> bytes:
    length = len(body) if declared is None else declared
    return f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + body


def test_clients_that_stop_or_vanish_leave_no_trace(predictor: Predictor, client: httpx.Client) -> None:
    picture = inputs.png(64, 64)
    before = inputs.raw(client, "digits", picture)
    odd = [request_bytes(picture), request_bytes(picture[:50], len(picture)), b"POST / HT"]
    for number in range(60):
        with closing(socket.create_connection(("127.0.0.1", predictor.port))) as connection:
            connection.sendall(odd[number % len(odd)])
            if number % 2:
                # A reset instead of an orderly end.
                linger = b"\1\0\0\0\0\0\0\0"
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    wait_until_idle(client)
    assert inputs.raw(client, "digits", picture) == before
