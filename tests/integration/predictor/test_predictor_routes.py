"""The pages and routes of a running server."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor

HEALTH = [
    "/",
    "/metrics",
    "/openapi.json",
    "/v1/models/digits",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/digits/ready",
]
PAGES = [*HEALTH, "/v1/models", "/v2", "/v2/models", "/v2/models/digits"]


def assert_refused(response: httpx.Response, status: int) -> dict[str, object]:
    """The one shape of every refusal."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error: dict[str, object] = response.json()["error"]
    assert set(error) in ({"code", "reason", "message"}, {"code", "reason", "message", "field"})
    assert error["code"] == status
    assert "Traceback" not in response.text
    assert len(response.text) < 1000
    return error


@pytest.mark.parametrize("page", PAGES)
def test_get_head_and_options(client: httpx.Client, page: str) -> None:
    got, head, options = client.get(page), client.head(page), client.options(page)
    assert (got.status_code, head.status_code, options.status_code) == (200, 200, 204)
    assert head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    assert options.headers["allow"] == "GET, HEAD"
    assert "access-control-allow-origin" not in options.headers


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/v1/models/digits:predict", "POST, PUT"), ("/v2/models/digits/infer", "POST")],
)
def test_options_tells_what_a_route_takes_and_cors_stays_off(
    client: httpx.Client, path: str, allowed: str
) -> None:
    asks = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "POST"}
    response = client.options(path, headers=asks)
    assert (response.status_code, response.headers["allow"]) == (204, allowed)
    assert not [name for name in response.headers if name.startswith("access-control-")]


def test_health_pages_say_what_kserve_clients_expect(client: httpx.Client) -> None:
    assert client.get("/").json() == {"status": "alive"}
    assert client.get("/v2/health/live").json() == {"live": True}
    ready = client.get("/v2/health/ready").json()
    assert ready == {"ready": True, "engine": "openvino", "precision": "f32", "passed_over": []}
    assert client.get("/v1/models/digits").json() == {"name": "digits", "ready": True}
    assert client.get("/v1/models").json() == {"models": ["digits"]}


def test_metadata_says_what_is_really_served(client: httpx.Client, weights: str) -> None:
    metadata = client.get("/v2/models/digits").json()
    assert metadata["name"] == "digits"
    assert metadata["inputs"][1] == {"name": "input", "datatype": "FP32", "shape": [-1, 3, 64, 64]}
    assert {output["name"] for output in metadata["outputs"]} == {"class_id", "probability", "label"}
    properties = metadata["properties"]
    assert properties.pop("weights_digest").startswith("sha256:")
    assert [rate["batch"] for rate in properties.pop("capacity")] == [properties.pop("batch_size")] == [1]
    assert properties == {
        "weights": weights,
        "architecture": "squeezenet1_1",
        "num_classes": 10,
        "engine": "openvino",
        "precision": client.get("/v2/health/ready").json()["precision"],
        "device": properties["device"],
        "requested_device": "auto",
        "passed_over": [],
    }


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_nobody_can_unload_the_model(client: httpx.Client, verb: str) -> None:
    assert_refused(client.post(f"/v2/repository/models/digits/{verb}"), 404)
    assert client.get("/v2/models/digits/ready").status_code == 200


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/debug", "/v1/models/digits/", "/v2/models/digits/x"])
def test_unknown_pages(client: httpx.Client, page: str) -> None:
    assert assert_refused(client.get(page), 404)["reason"] == "RouteNotFound"


@pytest.mark.parametrize(
    ("method", "page"),
    [
        ("GET", "/v1/models/other"),
        ("GET", "/v2/models/other"),
        ("GET", "/v2/models/other/ready"),
        ("POST", "/v1/models/other:predict"),
        ("POST", "/v2/models/other/infer"),
    ],
)
def test_unknown_model(client: httpx.Client, method: str, page: str) -> None:
    error = assert_refused(client.request(method, page), 404)
    assert error["reason"] == "ModelNotFound"
    assert "'digits'" in str(error["message"])


@pytest.mark.parametrize(
    ("method", "page"),
    [
        ("GET", "/v1/models/digits:predict"),
        ("DELETE", "/v1/models/digits:predict"),
        ("GET", "/v2/models/digits/infer"),
        ("POST", "/v2/health/live"),
        ("DELETE", "/v2/models/digits"),
    ],
)
def test_wrong_method_names_the_right_one(client: httpx.Client, method: str, page: str) -> None:
    response = client.request(method, page)
    error = assert_refused(response, 405)
    assert error["reason"] == "MethodNotAllowed"
    assert method not in response.headers["allow"]


def test_options_of_the_predict_route_are_what_it_takes(client: httpx.Client) -> None:
    response = client.options("/v1/models/digits:predict")
    assert (response.status_code, response.headers["allow"]) == (204, "POST, PUT")


def test_every_route_gives_the_same_answer(client: httpx.Client) -> None:
    picture = inputs.skimage_picture("chelsea.png")
    answers = [route(client, "digits", picture) for route in inputs.PICTURE_ROUTES]
    answers.append(inputs.v2_floats(client, "digits", picture, binary=False))
    answers.append(inputs.v2_floats(client, "digits", picture))
    assert {answer[:2] for answer in answers} == {answers[0][:2]}
    assert np.ptp([answer[2] for answer in answers]) < 1e-5


def test_batch_answers_are_those_of_the_single_pictures_in_order(client: httpx.Client) -> None:
    pictures = [inputs.png(80, 60, seed) for seed in range(4)]
    alone = [inputs.raw(client, "digits", picture) for picture in pictures]
    instances = [{"b64": inputs.b64(picture)} for picture in pictures]
    together = client.post("/v1/models/digits:predict", json={"instances": instances}).json()["predictions"]
    assert len({answer[2] for answer in alone}) == 4
    for one, entry in zip(alone, together, strict=True):
        assert entry["class_id"] == one[0]
        assert entry["probability"] == pytest.approx(one[2], abs=1e-5)


@pytest.mark.parametrize("top_k", [1, 2, 10])
def test_top_k(client: httpx.Client, top_k: int) -> None:
    picture = inputs.png(64, 64)
    (best,) = client.post(f"/v1/models/digits:predict?top_k={top_k}", content=picture).json()["predictions"]
    assert len(best["top_k"]) == top_k
    probabilities = [entry["probability"] for entry in best["top_k"]]
    assert probabilities == sorted(probabilities, reverse=True)
    if top_k == 10:
        assert sum(probabilities) == pytest.approx(1)


def test_v2_id_outputs_and_binary_answers(client: httpx.Client) -> None:
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [inputs.b64(inputs.png(64, 64))]}
    request = {
        "id": "request-7",
        "parameters": {"top_k": 3},
        "inputs": [tensor],
        "outputs": [{"name": "class_id"}, {"name": "probability", "parameters": {"binary_data": True}}],
    }
    response = client.post("/v2/models/digits/infer", json=request)
    length = int(response.headers["inference-header-content-length"])
    document = httpx.Response(200, content=response.content[:length]).json()
    assert document["id"] == "request-7"
    assert [output["name"] for output in document["outputs"]] == ["class_id", "probability"]
    assert len(document["outputs"][0]["data"]) == 3
    probabilities = np.frombuffer(response.content[length:], "<f4")
    assert probabilities.shape == (3,)
    assert (np.diff(probabilities) <= 0).all()


def test_metrics_count_by_route_and_code(client: httpx.Client) -> None:
    def count(code: int) -> float:
        label = f'squeeze_requests_total{{code="{code}",route="/v1/models/{{model_name}}:predict"}} '
        lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(label)]
        return float(lines[0].rpartition(" ")[2]) if lines else 0.0

    good, bad = count(200), count(400)
    inputs.raw(client, "digits", inputs.png(64, 64))
    client.post("/v1/models/digits:predict", content=b"no picture")
    assert (count(200), count(400)) == (good + 1, bad + 1)
    page = client.get("/metrics").text
    assert 'squeeze_model_info{architecture="squeezenet1_1"' in page
    assert "squeeze_requests_in_flight 1.0" in page


def test_metrics_do_not_grow_with_what_clients_invent(client: httpx.Client) -> None:
    client.get("/v2/models/invented")
    client.get("/invented")
    before = len(client.get("/metrics").text.splitlines())
    for number in range(50):
        client.get(f"/v2/models/invented-{number}")
        client.get(f"/invented-{number}")
    assert len(client.get("/metrics").text.splitlines()) == before


def test_start_prints_a_command_that_works(predictor: Predictor) -> None:
    route = f"{predictor.url}/v1/models/digits:predict"
    assert f"curl -H 'Content-Type: image/png' --data-binary @picture.png {route}" in predictor.output
