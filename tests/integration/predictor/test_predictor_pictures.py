"""Real pictures with ImageNet weights: one answer, whatever the route."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor, running

EXPECTED = {"chelsea.png": 285, "camera.png": 872}
TOLERANCE = 0.01


@pytest.fixture(scope="module")
def client(imagenet: Predictor) -> Iterator[httpx.Client]:
    with imagenet.client() as opened:
        yield opened


@pytest.mark.parametrize("name", inputs.PICTURES)
def test_every_route_gives_the_same_class_and_probability(client: httpx.Client, name: str) -> None:
    picture = inputs.skimage_picture(name)
    reference = inputs.raw(client, "imagenet", picture)
    assert reference[0] == EXPECTED.get(name, reference[0])
    for route in (*inputs.PICTURE_ROUTES, inputs.v2_floats):
        class_id, label, probability = route(client, "imagenet", picture)
        assert (class_id, label) == reference[:2]
        assert probability == pytest.approx(reference[2], abs=TOLERANCE)


def test_cpu_in_the_place_of_a_gpu_is_visible(imagenet: Predictor, client: httpx.Client) -> None:
    properties = client.get("/v2/models/imagenet").json()["properties"]
    assert properties["requested_device"] == "cuda"
    if properties["device"] == "cuda":
        pytest.skip("this machine has a CUDA device")
    assert properties["device"] == "cpu"
    assert "WARNING" in imagenet.log
    assert "warning: cuda was asked for" in imagenet.output
    assert 'device="cpu"' in client.get("/metrics").text


def test_builtin_digits_reads_its_own_samples(tmp_path_factory: pytest.TempPathFactory) -> None:
    samples = sorted((inputs.DIGITS / "samples").glob("*.png"))
    if not samples:
        pytest.skip(f"no built-in network at {inputs.DIGITS}; make it with: squeezenet digits train")
    with (
        running(tmp_path_factory.mktemp("digits"), "--weights=builtin://digits") as predictor,
        predictor.client() as client,
    ):
        labels = {path.stem: inputs.raw(client, "digits", path.read_bytes())[1] for path in samples}
    assert labels == {digit: digit for digit in labels}
    assert len(labels) == 10
