"""A running server in int8: every route answers alike, and every page says so; or why it does not."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor, running
from squeezenet import artifact as artifacts
from squeezenet.classify import softmax
from squeezenet.engines.openvino_engine import OpenVINOEngine
from squeezenet.preprocess import decode, preprocess, to_pixels

SAMPLES = sorted((inputs.DIGITS / "samples").glob("*.png"))


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    flags = ("--weights=builtin://digits", "--precision=int8", "--threads=1")
    with running(tmp_path_factory.mktemp("int8"), *flags) as server:
        yield server


@pytest.fixture
def client(int8: Predictor) -> Iterator[httpx.Client]:
    with int8.client() as opened:
        yield opened


def tensor_route(client: httpx.Client, picture: bytes) -> inputs.Answer:
    """The picture as a client preprocesses it."""
    tensor = preprocess(picture, artifacts.load("builtin://digits").config.input)[None]
    entry = {"name": "input", "shape": list(tensor.shape), "datatype": "FP32"}
    return inputs.v2_answer(inputs.send_binary(client, "digits", entry, tensor.astype("<f4").tobytes()))


def test_every_route_gives_the_same_int8_answer(client: httpx.Client) -> None:
    artifact = artifacts.load("builtin://digits")
    engine, f32 = OpenVINOEngine(artifact, precision="int8"), OpenVINOEngine(artifact)
    changes = []
    # Digits, of which the network is sure, and others, of which it is not.
    for picture in [SAMPLES[7].read_bytes(), *map(inputs.skimage_picture, inputs.PICTURES)]:
        answers = [route(client, "digits", picture) for route in inputs.PICTURE_ROUTES]
        answers.append(tensor_route(client, picture))
        assert len({answer[:2] for answer in answers}) == 1
        square = to_pixels(decode(picture), artifact.config.input)[None]
        expected, other = (softmax(each.classify_pixels(square)).max() for each in (engine, f32))
        np.testing.assert_allclose([answer[2] for answer in answers], expected, atol=1e-5)
        changes.append(abs(other - expected))
    assert max(changes) > 1e-3, "f32 answers would pass too"


def test_every_page_says_int8(int8: Predictor, client: httpx.Client) -> None:
    ready = {"ready": True, "engine": "openvino", "precision": "int8", "passed_over": []}
    assert client.get("/v2/health/ready").json() == ready
    assert client.get("/v2/models/digits").json()["properties"]["precision"] == "int8"
    assert 'precision="int8"} 1.0' in client.get("/metrics").text
    assert "openvino on cpu in int8) is ready" in int8.output


def test_int8_that_the_weights_lack_falls_back_for_all_to_see(
    weights: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    flags = (f"--weights={weights}", "--precision=int8", "--threads=1")
    with running(tmp_path_factory.mktemp("fallback"), *flags) as server, server.client() as client:
        ready = client.get("/v2/health/ready").json()
        assert ready["precision"] == "f32"
        (why,) = ready["passed_over"]
        assert "no int8 weights" in why
        assert client.get("/v2/models/digits").json()["properties"]["passed_over"] == [why]
        page = client.get("/metrics").text
        assert "squeeze_engines_passed_over 1.0" in page
        assert 'precision="f32"} 1.0' in page
        assert why in server.log
        assert "openvino on cpu in f32) is ready" in server.output
        inputs.raw(client, "digits", SAMPLES[0].read_bytes())
