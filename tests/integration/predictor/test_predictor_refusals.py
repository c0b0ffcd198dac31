"""Bad requests to the running server: each is refused in one shape, and none harms the next request."""

from __future__ import annotations

import json
import re
import socket
from contextlib import closing
from typing import Any

import httpx
import pytest
from integration.predictor import predictor_inputs as inputs
from integration.predictor.conftest import MAX_BATCH, MAX_BYTES, MAX_PIXELS
from integration.predictor.predictor_process import Predictor
from integration.predictor.test_predictor_routes import assert_refused

PREDICT = "/v1/models/digits:predict"
INFER = "/v2/models/digits/infer"
PNG = inputs.png(64, 64)
TEXT = inputs.b64(PNG)
MARK = "DO-NOT-LOG-ME"


def tensor(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [TEXT], **changes}]}


BAD: list[tuple[str, dict[str, Any], int]] = [
    (PREDICT, {"content": b""}, 400),
    (PREDICT, {"content": b"no picture " + MARK.encode()}, 400),
    (PREDICT, {"content": PNG[:200]}, 400),
    (PREDICT, {"content": b"{" + MARK.encode()}, 400),
    (PREDICT, {"json": {}}, 400),
    (PREDICT, {"json": {"instances": TEXT}}, 400),
    (PREDICT, {"json": {"instances": []}}, 400),
    (PREDICT, {"json": {"instances": [{"b64": MARK}]}}, 400),
    (PREDICT, {"json": {"instances": [{"b64": TEXT}] * (MAX_BATCH + 1)}}, 400),
    (PREDICT, {"content": PNG, "headers": {"Content-Type": "text/plain"}}, 415),
    (PREDICT, {"content": PNG, "headers": {"Content-Type": "application/json"}}, 400),
    (PREDICT, {"content": PNG, "headers": {"Content-Type": "multipart/form-data"}}, 400),
    (PREDICT, {"content": b"[" * 50_000, "headers": {"Content-Type": "application/json"}}, 400),
    (PREDICT, {"content": b"x" * (MAX_BYTES + 1), "headers": {"Content-Type": "image/png"}}, 413),
    (PREDICT + "?top_k=0", {"content": PNG}, 400),
    (PREDICT + "?top_k=11", {"content": PNG}, 400),
    (PREDICT + f"?top_k={MARK}", {"content": PNG}, 400),
    (INFER, {"json": {}}, 400),
    (INFER, {"json": tensor(data=TEXT)}, 400),
    (INFER, {"json": tensor(shape=1)}, 400),
    (INFER, {"json": tensor(shape=[-1])}, 400),
    (INFER, {"json": tensor(shape=[len(PNG)])}, 400),
    (INFER, {"json": tensor(shape=[2])}, 400),
    (INFER, {"json": tensor(data=[TEXT, TEXT])}, 400),
    (INFER, {"json": tensor(name=MARK)}, 400),
    (INFER, {"json": tensor(datatype="FP32", name="input", shape=[1, 3, 8, 8], data=[0.0] * 192)}, 400),
    (INFER, {"json": {**tensor(), "id": 5}}, 400),
    (INFER, {"json": {**tensor(), "parameters": {"top_k": -1}}}, 400),
    (INFER, {"json": {**tensor(), "outputs": [{"name": MARK}]}}, 400),
    (INFER, {"files": {"image": PNG}}, 415),
    (INFER, {"content": b"{}", "headers": {"Inference-Header-Content-Length": MARK}}, 400),
    ("/v1/models/other:predict", {"content": b"x" * 3_000_000}, 404),
    (f"/{MARK}%0a%1b", {"content": PNG}, 404),
]


def send(client: httpx.Client, case: tuple[str, dict[str, Any], int]) -> httpx.Response:
    path, content, _ = case
    return client.post(path, **content)


@pytest.mark.parametrize("case", BAD, ids=[f"{number}-{case[2]}" for number, case in enumerate(BAD)])
def test_refusal(client: httpx.Client, case: tuple[str, dict[str, Any], int]) -> None:
    assert_refused(send(client, case), case[2])


def test_a_thousand_bad_requests_change_nothing_for_a_good_one(
    predictor: Predictor, client: httpx.Client
) -> None:
    before = inputs.raw(client, "digits", PNG)
    with predictor.client() as other:
        for number in range(1000):
            case = BAD[number % len(BAD)]
            # Every third on one long-lived connection, so that leftovers on it would show.
            assert send(client if number % 3 else other, case).status_code == case[2]
        assert inputs.raw(other, "digits", PNG) == before
    assert inputs.raw(client, "digits", PNG) == before
    assert client.get("/v2/health/live").status_code == 200
    assert predictor.process.poll() is None


def test_nothing_a_client_sends_reaches_the_log(predictor: Predictor, client: httpx.Client) -> None:
    for case in BAD:
        send(client, case)
    client.get("/", headers={"X-Anything": MARK})
    with closing(socket.create_connection(("127.0.0.1", predictor.port))) as connection:
        connection.sendall(f"{MARK} / NOT-HTTP\r\n\r\n".encode())
        connection.recv(1000)
    text = predictor.log + predictor.output
    assert MARK not in text
    assert "Traceback" not in text
    assert "POST" not in text


def padded(size: int) -> bytes:
    """A picture of exactly that many bytes; decoders ignore what follows the end of a PNG."""
    return PNG + b"\0" * (size - len(PNG))


@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES, 200), (MAX_BYTES + 1, 413)])
def test_byte_limit_at_its_edge_on_every_route(client: httpx.Client, size: int, status: int) -> None:
    picture = padded(size)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    binary = {"name": "image", "shape": [1], "datatype": "BYTES"}
    responses = [
        client.post(PREDICT, content=picture, headers={"Content-Type": "image/png"}),
        client.post(PREDICT, content=picture, headers=form),
        client.post(PREDICT, files={"image": picture}),
        client.post(PREDICT, json={"instances": [{"b64": inputs.b64(picture)}]}),
        client.post(INFER, json=tensor(data=[inputs.b64(picture)])),
        inputs.send_binary(client, "digits", binary, len(picture).to_bytes(4, "little") + picture),
    ]
    for response in responses:
        assert response.status_code == status, response.text
        if status == 413:
            assert str(MAX_BYTES) in str(assert_refused(response, 413)["message"])


@pytest.mark.parametrize(
    ("width", "height", "status"), [(1000, 500, 200), (1000, 501, 413), (1, 4000, 200), (1, 1, 200)]
)
def test_pixel_limit_at_its_edge(client: httpx.Client, width: int, height: int, status: int) -> None:
    assert MAX_PIXELS == 1000 * 500
    assert client.post(PREDICT, content=inputs.png(width, height)).status_code == status


@pytest.mark.parametrize(("count", "status"), [(MAX_BATCH, 200), (MAX_BATCH + 1, 400)])
def test_batch_limit_at_its_edge_on_every_route(client: httpx.Client, count: int, status: int) -> None:
    floats = {"name": "input", "shape": [count, 3, 64, 64], "datatype": "FP32"}
    responses = [
        client.post(PREDICT, json={"instances": [{"b64": TEXT}] * count}),
        client.post(PREDICT, files=[("image", PNG)] * count),
        client.post(INFER, json=tensor(shape=[count], data=[TEXT] * count)),
        inputs.send_binary(client, "digits", floats, b"\0" * (count * 3 * 64 * 64 * 4)),
    ]
    assert [response.status_code for response in responses] == [status] * 4


def test_many_requests_on_one_connection_with_bodies_unread(client: httpx.Client) -> None:
    """An early refusal must not leave its body to be read as the next request."""
    for _ in range(5):
        assert_refused(
            client.post("/v1/models/other:predict", content=b"GET / HTTP/1.1\r\n\r\n" * 100_000), 404
        )
        assert client.post(PREDICT, content=PNG).status_code == 200


def exchange(predictor: Predictor, request: bytes) -> bytes:
    """What the server sends until it closes the connection, or for two seconds after it last sent."""
    with closing(socket.create_connection(("127.0.0.1", predictor.port))) as connection:
        connection.settimeout(5)
        connection.sendall(request)
        received = b""
        while True:
            try:
                chunk = connection.recv(65536)
            except TimeoutError:
                return received + b"(still open)"
            if not chunk:
                return received
            received += chunk


def head(path: str, length: int, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(lines).encode()


def test_pipelined_requests_are_answered_in_order(predictor: Predictor) -> None:
    refused = head("/v1/models/other:predict", 20) + b"x" * 20
    good = head(PREDICT, len(PNG)) + PNG
    last = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = exchange(predictor, refused + good + last)
    codes = re.findall(rb"HTTP/1.1 (\d+)", received)
    assert codes == [b"404", b"200", b"200"]


def test_a_large_body_that_is_refused_early_is_read_and_the_connection_goes_on(predictor: Predictor) -> None:
    size = 50_000_000
    refused = head("/v1/models/other:predict", size) + bytes(size)
    good = head(PREDICT, len(PNG), "Connection: close") + PNG
    received = exchange(predictor, refused + good)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"404", b"200"]


def test_a_body_too_large_to_be_read_in_vain_ends_its_connection(
    predictor: Predictor, client: httpx.Client
) -> None:
    request = head("/v1/models/other:predict", 10**9) + b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    received = exchange(predictor, request)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"404"]
    assert b"connection: close" in received
    assert b"(still open)" not in received
    assert client.post(PREDICT, content=PNG).status_code == 200


def test_nothing_after_connection_close_is_answered(predictor: Predictor) -> None:
    last = head(PREDICT, len(PNG), "Connection: close") + PNG
    received = exchange(predictor, last + last)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"]
    assert b"(still open)" not in received


def test_a_client_that_waits_for_continue_is_refused_before_it_sends(predictor: Predictor) -> None:
    request = head(PREDICT, 10**12, "Content-Type: image/png", "Expect: 100-continue")
    received = exchange(predictor, request)
    assert received.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in received
    assert b"100 Continue" not in received
    assert b"(still open)" not in received


def test_a_body_without_an_end_is_refused_at_the_limit(predictor: Predictor) -> None:
    request = b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    chunk = b"%x\r\n" % MAX_BYTES + b"x" * MAX_BYTES + b"\r\n"
    received = exchange(
        predictor, request + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"1\r\nx\r\n0\r\n\r\n"
    )
    assert received.startswith(b"HTTP/1.1 413")


def test_a_client_that_stops_in_mid_body_is_given_up(predictor: Predictor, client: httpx.Client) -> None:
    received = exchange(predictor, head(PREDICT, 100) + b"half")
    assert received.startswith(b"HTTP/1.1 408")
    assert b"(still open)" not in received
    error = json.loads(received.partition(b"\r\n\r\n")[2])["error"]
    assert error["reason"] == "BodyTimeout"
    assert client.post(PREDICT, content=PNG).status_code == 200
