"""The running server does what its OpenAPI document says, to requests that fit it and to others."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from integration.predictor import predictor_inputs as inputs
from integration.predictor.conftest import MAX_BATCH, MAX_BYTES, MAX_PIXELS
from integration.predictor.predictor_process import Predictor
from PIL import Image
from schemathesis.checks import CheckFunction
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance
from squeeze_predictor.openapi.document import document
from squeeze_predictor.openapi.parts import Facts

FACTS = Facts("digits", 10, 64, 5, MAX_BATCH, MAX_BYTES, MAX_PIXELS, 64 * 1024 * 1024)
DOCUMENT = document(FACTS)
ENOUGH = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)

PREDICT = DOCUMENT["paths"]["/v1/models/{model_name}:predict"]
(DEADLINE,) = (one for one in PREDICT["parameters"] if one["name"] == "X-Envoy-Expected-Rq-Timeout-Ms")
# JSON Schema cannot say that a shape fits its data, or that binary data begins where a header says.
INEXACT = ["/v2/models/{model_name}/infer"]


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(inputs.png(30, 20))).save(buffer, kind)
    return buffer.getvalue()


def with_formats(node: Any) -> Any:
    """The document with a format wherever a string has to be a picture, which random text never is.

    And without the deadline, since a random one may well have passed.
    """
    if isinstance(node, list):
        return [with_formats(item) for item in node if item != DEADLINE]
    if not isinstance(node, dict):
        return node
    made = {key: with_formats(value) for key, value in node.items()}
    if made.get("contentMediaType") == "image/*":
        base64 = made.pop("contentEncoding", None)
        made |= {"type": "string", "format": "base64-picture" if base64 else "picture"}
        del made["contentMediaType"]
    return made


PICTURES = st.sampled_from([encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")])
schemathesis.openapi.media_type("image/*", PICTURES)
schemathesis.openapi.media_type("application/octet-stream", PICTURES)
schemathesis.openapi.format("picture", PICTURES)
schemathesis.openapi.format("base64-picture", PICTURES.map(inputs.b64))
# What breaks a limit of size is refused with 413.
REFUSALS = {"negative_data_rejection": {"expected-statuses": ["400", "404", "405", "413", "415"]}}
schema = schemathesis.openapi.from_dict(
    with_formats(DOCUMENT), config=SchemathesisConfig.from_dict({"checks": REFUSALS})
)


@schema.parametrize()
@ENOUGH
def test_conformance(case: schemathesis.Case[Any], predictor: Predictor) -> None:
    excluded: list[CheckFunction] = [positive_data_acceptance] if case.path in INEXACT else []
    case.call_and_validate(base_url=predictor.url, excluded_checks=excluded)


@pytest.mark.parametrize("path", ["/v1/models/{model_name}:predict", "/v2/models/{model_name}/infer"])
def test_examples_are_answered(client: httpx.Client, path: str) -> None:
    body = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        answer = client.post(path.replace("{model_name}", FACTS.model), json=example["value"])
        assert answer.status_code == 200


def test_the_server_gives_the_document_that_it_is_held_to(client: httpx.Client) -> None:
    assert client.get("/openapi.json").json() == DOCUMENT
