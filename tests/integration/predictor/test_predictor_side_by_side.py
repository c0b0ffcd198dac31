"""Many requests at a time: each gets its own answer, all are counted, and odd clients cost nothing."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import httpx
import numpy as np
import pytest
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor, running
from integration.predictor.test_predictor_overload import metric, request_bytes, wait_until_idle

PREDICT = "/v1/models/digits:predict"
INFER = "/v2/models/digits/infer"
PICTURES = [inputs.png(80, 60, seed) for seed in range(8)]
OUTPUTS = ("class_id", "probability", "label")


@pytest.fixture(scope="module")
def server(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """A server that refuses none of these for want of room."""
    flags = (f"--weights={weights}", "--queue-size=1000", "--body-timeout=3")
    with running(tmp_path_factory.mktemp("side-by-side"), *flags) as predictor:
        yield predictor


@pytest.fixture
def client(server: Predictor) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


async def together(server: Predictor, *requests: tuple[str, dict[str, Any]]) -> list[httpx.Response]:
    """The answers to POSTs that are sent at a time, in order."""
    limits = httpx.Limits(max_connections=32)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        return await asyncio.gather(*(client.post(path, **content) for path, content in requests))


def v2(number: int) -> dict[str, Any]:
    """A request like no other: its id, picture, outputs, how they are encoded, and top_k."""
    outputs = [
        {"name": name, "parameters": {"binary_data": bool((number >> place) & 1)}}
        for place, name in enumerate(OUTPUTS[: 1 + number % 3])
    ]
    return {
        "id": f"request-{number}",
        "inputs": [
            {"name": "image", "shape": [1], "datatype": "BYTES", "data": [inputs.b64(PICTURES[number % 8])]}
        ],
        "parameters": {"top_k": (1, 5, 10)[number % 3]},
        # Every fourth asks for nothing and gets all.
        **({"outputs": outputs} if number % 4 else {}),
    }


def read(response: httpx.Response) -> tuple[str, dict[str, list[Any]], set[str]]:
    """(id, outputs by name, names of those that came as binary data) of a V2 answer."""
    assert response.status_code == 200, response.text
    length = int(response.headers.get("inference-header-content-length", len(response.content)))
    document, tail = json.loads(response.content[:length]), response.content[length:]
    values, binary = {}, set()
    for output in document["outputs"]:
        name, size = output["name"], output.get("parameters", {}).get("binary_data_size")
        if size is None:
            values[name] = output["data"]
            continue
        binary.add(name)
        raw, tail = tail[:size], tail[size:]
        values[name] = (
            [word.decode() for word in re.findall(rb"\x01\0\0\0(.)", raw)]
            if name == "label"
            else np.frombuffer(raw, {"class_id": "<i8", "probability": "<f4"}[name]).tolist()
        )
    assert tail == b""
    return document["id"], values, binary


async def test_each_request_gets_what_it_asked_for(server: Predictor, client: httpx.Client) -> None:
    requests = [v2(number) for number in range(96)]
    responses = await together(server, *((INFER, {"json": request}) for request in requests))
    plain = [
        client.post(f"{PREDICT}?top_k=10", content=picture).json()["predictions"][0]["top_k"]
        for picture in PICTURES
    ]
    for number, (request, response) in enumerate(zip(requests, responses, strict=True)):
        found_id, values, binary = read(response)
        assert found_id == request["id"]
        asked = request.get("outputs", [])
        assert list(values) == [output["name"] for output in asked] or (
            not asked and set(values) == set(OUTPUTS)
        )
        assert binary == {output["name"] for output in asked if output["parameters"]["binary_data"]}
        expected = plain[number % 8][: request["parameters"]["top_k"]]
        for name, column in values.items():
            alone = [entry[name] for entry in expected]
            assert column == (pytest.approx(alone, abs=1e-5) if name == "probability" else alone)


@pytest.mark.parametrize("top_k", [0, -1, 11, 1000, "x", 1.5, True, None])
async def test_a_wrong_parameter_is_refused_among_good_requests(server: Predictor, top_k: object) -> None:
    wrong = {**v2(1), "parameters": {"top_k": top_k}}
    responses = await together(server, *[(INFER, {"json": v2(0)}), (INFER, {"json": wrong})] * 4)
    assert {response.status_code for response in responses[::2]} == {200}
    # JSON's null is no value, so the default holds.
    assert {response.status_code for response in responses[1::2]} == {200 if top_k is None else 400}


@pytest.mark.parametrize(
    ("shape", "data"), [([len(PICTURES[0])], 1), ([2], 1), ([1], 2), ([1, 1, 1], 1), ([0], 1), ([1, 2], 1)]
)
async def test_a_wrong_shape_is_refused_alone_and_among_others(
    server: Predictor, client: httpx.Client, shape: list[int], data: int
) -> None:
    tensor = {
        "name": "image",
        "shape": shape,
        "datatype": "BYTES",
        "data": [inputs.b64(PICTURES[0])] * data,
    }
    alone = client.post(INFER, json={"inputs": [tensor]})
    assert alone.status_code == 400
    among = await together(server, *[(INFER, {"json": {"inputs": [tensor]}}), (INFER, {"json": v2(0)})] * 8)
    assert {response.text for response in among[::2]} == {alone.text}
    assert {response.status_code for response in among[1::2]} == {200}


def counted(client: httpx.Client, name: str) -> Counter[str]:
    """A counter's samples by their labels."""
    lines = re.findall(rf"^{name}\{{(.*)\}} (.*)$", client.get("/metrics").text, re.MULTILINE)
    return Counter({labels: int(float(value)) for labels, value in lines})


async def test_every_request_is_counted_once_by_code_and_reason(
    server: Predictor, client: httpx.Client
) -> None:
    names = ("squeeze_requests_total", "squeeze_requests_refused_total")
    before = [counted(client, name) for name in names]
    kinds: list[tuple[str, dict[str, Any]]] = [
        (PREDICT, {"content": PICTURES[0]}),
        (PREDICT, {"content": b"no picture"}),
        (f"{PREDICT}?top_k=0", {"content": PICTURES[0]}),
        (INFER, {"json": v2(0)}),
        ("/v1/models/other:predict", {"content": PICTURES[0]}),
    ]
    sending = asyncio.create_task(together(server, *kinds * 100))
    seen = [sum(counted(client, names[0]).values())]
    while not sending.done():
        await asyncio.sleep(0.02)
        seen.append(sum((await asyncio.to_thread(counted, client, names[0])).values()))
    assert seen == sorted(seen), "a total never falls"
    answered, refused = (counted(client, name) - was for name, was in zip(names, before, strict=True))
    predict, infer = 'route="/v1/models/{model_name}:predict"', 'route="/v2/models/{model_name}/infer"'
    assert answered[f'code="200",{predict}'] == 100
    assert answered[f'code="400",{predict}'] == 200
    assert answered[f'code="404",{predict}'] == 100
    assert answered[f'code="200",{infer}'] == 100
    assert refused == Counter(
        {'reason="PictureUnsupported"': 100, 'reason="TopKInvalid"': 100, 'reason="ModelNotFound"': 100}
    )


def test_two_hundred_odd_clients_that_stay_hold_no_place(server: Predictor, client: httpx.Client) -> None:
    """Some never read their answer, some stop in mid-body or in mid-head, some reset."""
    whole = request_bytes(PICTURES[0])
    odd = [whole, whole * 20, whole[:-50], whole[:20]]
    with ExitStack() as open_connections:
        for number in range(200):
            connection = socket.create_connection(("127.0.0.1", server.port), 60)
            connection.sendall(odd[number % len(odd)])
            if number % 5:
                open_connections.enter_context(closing(connection))
            else:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()
        wait_until_idle(client)
        for _ in range(20):
            assert client.post(PREDICT, content=PICTURES[0]).status_code == 200
        assert metric(client, "squeeze_requests_queued") == 0
    assert client.get("/v2/health/live").status_code == 200
    assert server.process.poll() is None
