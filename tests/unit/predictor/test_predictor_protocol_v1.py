"""V1 bodies: the accepted forms, and the field each wrong one is refused with."""

from __future__ import annotations

import base64
import json

import orjson
import pytest
from squeeze_predictor import protocol_v1
from squeeze_predictor.errors import ApiError
from squeezenet.classify import Prediction

TEXT = base64.b64encode(b"picture").decode()


def parse(document: object, max_batch: int = 4, max_bytes: int = 100) -> list[tuple[bytes, str | None]]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return [(picture.data, picture.field) for picture in protocol_v1.parse(body, max_batch, max_bytes)]


@pytest.mark.parametrize(
    ("instance", "field"),
    [
        ({"b64": TEXT}, "instances[0].b64"),
        ({"image": {"b64": TEXT}}, "instances[0].image.b64"),
        ({"image_bytes": {"b64": TEXT}}, "instances[0].image_bytes.b64"),
        ({"b64": TEXT[:4] + "\n" + TEXT[4:]}, "instances[0].b64"),
    ],
)
def test_forms(instance: object, field: str) -> None:
    assert parse({"instances": [instance]}) == [(b"picture", field)]


@pytest.mark.parametrize(
    ("document", "reason", "field"),
    [
        (b"{", "JsonInvalid", None),
        (b"", "JsonInvalid", None),
        (b'{"instances": NaN}', "JsonInvalid", None),
        (b"[" * 100_000, "JsonInvalid", None),
        ([], "RequestInvalid", None),
        ({}, "RequestInvalid", "instances"),
        ({"instances": TEXT}, "RequestInvalid", "instances"),
        ({"instances": []}, "BatchEmpty", "instances"),
        ({"instances": [{"b64": TEXT}] * 5}, "BatchTooLarge", "instances"),
        ({"instances": [{"b64": TEXT}, TEXT]}, "RequestInvalid", "instances[1]"),
        ({"instances": [{"b64": TEXT}, {"b64": 5}]}, "Base64Invalid", "instances[1].b64"),
        ({"instances": [{"b64": "no!"}]}, "Base64Invalid", "instances[0].b64"),
        ({"instances": [{"b64": "é"}]}, "Base64Invalid", "instances[0].b64"),
        ({"instances": [{"b64": "abc"}]}, "Base64Invalid", "instances[0].b64"),
        ({"instances": [{"b64": TEXT, "top_k": 1}]}, "RequestInvalid", "instances[0]"),
        ({"instances": [[[0.1, 0.2]]]}, "RequestInvalid", "instances[0]"),
    ],
)
def test_refusals_name_the_field(document: object, reason: str, field: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        parse(document)
    error = caught.value
    assert (error.status, error.reason, error.field) == (400, reason, field)


def test_batch_limit_at_its_edge() -> None:
    assert len(parse({"instances": [{"b64": TEXT}] * 4}, max_batch=4)) == 4


@pytest.mark.parametrize("size", [97, 98, 99, 100])
def test_size_limit_at_its_edge(size: int) -> None:
    text = base64.b64encode(b"x" * size).decode()
    assert len(parse({"instances": [{"b64": text}]}, max_bytes=size)[0][0]) == size
    too_long = base64.b64encode(b"x" * (size + 3)).decode()
    with pytest.raises(ApiError) as caught:
        parse({"instances": [{"b64": too_long}]}, max_bytes=size)
    assert caught.value.status == 413
    assert str(size) in caught.value.message


def test_answer() -> None:
    best, second = Prediction(285, "Egyptian cat", 0.7), Prediction(281, "tabby", 0.2)
    (entry,) = orjson.loads(protocol_v1.answer([[best, second]]))["predictions"]
    assert entry == {
        "class_id": 285,
        "label": "Egyptian cat",
        "probability": 0.7,
        "top_k": [
            {"class_id": 285, "label": "Egyptian cat", "probability": 0.7},
            {"class_id": 281, "label": "tabby", "probability": 0.2},
        ],
    }


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "", " 1", "1_0", "１", "9" * 10])
def test_top_k_must_be_a_whole_number(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        protocol_v1.parse_top_k(text)
    assert (caught.value.status, caught.value.field) == (400, "top_k")


def test_top_k() -> None:
    assert protocol_v1.parse_top_k(None) is None
    assert protocol_v1.parse_top_k("10") == 10
