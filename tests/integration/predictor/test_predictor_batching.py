"""Pictures of different requests computed together: the same answers, and what says how many."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor, running

PREDICT = "/v1/models/digits:predict"
PICTURES = [inputs.png(60 + 10 * seed, 80, seed) for seed in range(12)]


@pytest.fixture(scope="module", params=["openvino", "torch"])
def batching(
    request: pytest.FixtureRequest, weights: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    flags = (f"--weights={weights}", "--threads=2", "--batch-size=4", f"--engine={request.param}")
    with running(tmp_path_factory.mktemp("batching"), *flags) as server:
        yield server


def histogram(client: httpx.Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {
        line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("squeeze_batch_pictures")
    }


def close(found: Any, expected: Any) -> bool:
    """The same classes, with probabilities that rounding alone may move."""
    pairs = list(zip(found["predictions"], expected["predictions"], strict=True))
    return all(
        left["class_id"] == right["class_id"] and abs(left["probability"] - right["probability"]) < 1e-4
        for left, right in pairs
    )


def test_answers_are_those_of_one_at_a_time_and_batches_form_under_load(batching: Predictor) -> None:
    with batching.client() as client:
        alone = [client.post(PREDICT, content=picture).json() for picture in PICTURES]
        before = histogram(client)
        with ThreadPoolExecutor(8) as pool:
            posts = [
                (index, pool.submit(httpx.post, batching.url + PREDICT, content=picture, timeout=120))
                for _ in range(5)
                for index, picture in enumerate(PICTURES)
            ]
        for index, post in posts:
            assert close(post.result().json(), alone[index])
        after = histogram(client)
    batches = after["squeeze_batch_pictures_count"] - before["squeeze_batch_pictures_count"]
    assert after["squeeze_batch_pictures_sum"] - before["squeeze_batch_pictures_sum"] == len(posts)
    assert batches < len(posts)


def test_a_bad_picture_fails_alone(batching: Predictor) -> None:
    with ThreadPoolExecutor(8) as pool:
        bodies = [PICTURES[0], b"\x89PNG no more"] * 10
        codes = list(
            pool.map(
                lambda body: httpx.post(batching.url + PREDICT, content=body, timeout=120).status_code, bodies
            )
        )
    assert codes == [200, 400] * 10


def test_capacity_is_measured_before_the_server_is_ready(batching: Predictor) -> None:
    with batching.client() as client:
        properties = client.get("/v2/models/digits").json()["properties"]
        page = client.get("/metrics").text
    assert properties["batch_size"] == 4
    assert [rate["batch"] for rate in properties["capacity"]] == [1, 4]
    for rate in properties["capacity"]:
        assert rate["pictures_per_second"] > 0
        assert rate["seconds"] > 0
        shown = f'squeeze_capacity_pictures_per_second{{batch="{rate["batch"]}"}}'
        line = next(line for line in page.splitlines() if line.startswith(shown))
        assert float(line.split()[1]) == pytest.approx(rate["pictures_per_second"])


def test_a_cpu_engine_that_gains_nothing_from_batches_computes_one_by_one(predictor: Predictor) -> None:
    with predictor.client() as client:
        properties = client.get("/v2/models/digits").json()["properties"]
        assert properties["batch_size"] == 1
        assert [rate["batch"] for rate in properties["capacity"]] == [1]


def test_a_batch_size_of_one_keeps_pictures_apart(tmp_path: Path, weights: str) -> None:
    flags = (f"--weights={weights}", "--batch-size=1", "--engine=torch")
    with running(tmp_path, *flags) as server, server.client() as client:
        assert client.post(PREDICT, content=PICTURES[0]).status_code == 200
        assert client.get("/v2/models/digits").json()["properties"]["batch_size"] == 1
