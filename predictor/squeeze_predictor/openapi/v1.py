"""Describes the predict route of `routes/v1.py`."""

from __future__ import annotations

from squeeze_predictor.openapi.parts import (
    ANY_PICTURE,
    PICTURE,
    Facts,
    Json,
    answer,
    base64_picture,
    closed,
    count,
    deadline,
    listed,
    model_name,
    operation,
    raw_picture,
    ref,
    top_k,
)
from squeeze_predictor.protocol_v1 import WRAPPERS

REFUSED = (400, 404, 408, 413, 415, 503, 504)


def paths(given: Facts) -> Json:
    """The path item of the route; PUT is what `curl -T` sends, and means the same as POST."""
    return {
        "/v1/models/{model_name}:predict": {
            "parameters": [model_name(given), top_k(given), deadline()],
            "post": _predict(given, "v1_predict_post"),
            "put": _predict(given, "v1_predict_put"),
        }
    }


def schemas(given: Facts) -> Json:
    """The schemas of V1's requests and answers."""
    bare = closed({"b64": base64_picture(given)})
    wrapped = [closed({wrapper: ref("Base64Picture")}) for wrapper in WRAPPERS]
    prediction = {
        "class_id": count(given.num_classes - 1),
        "label": {"type": "string"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
    }
    classes = listed(ref("Class"), 1, given.num_classes)
    return {
        "Base64Picture": bare,
        "Instance": {"oneOf": [ref("Base64Picture"), *wrapped]},
        "Instances": {
            "type": "object",
            "properties": {"instances": listed(ref("Instance"), 1, given.max_batch)},
            "required": ["instances"],
        },
        "Class": closed(prediction),
        "Prediction": closed({**prediction, "top_k": classes}),
        "Predictions": closed({"predictions": listed(ref("Prediction"), 1, given.max_batch)}),
    }


def _predict(given: Facts, name: str) -> Json:
    return operation(
        name,
        "predict",
        "Classes of pictures",
        {"200": answer("One prediction for each picture, in the order sent.", ref("Predictions"))},
        REFUSED,
        requestBody=_body(given),
    )


def _body(given: Facts) -> Json:
    form = {
        "type": "object",
        "additionalProperties": {"contentMediaType": ANY_PICTURE, "maxLength": given.max_bytes},
        "minProperties": 1,
        "maxProperties": given.max_batch,
    }
    example = {"one picture": {"value": {"instances": [{"b64": PICTURE}]}}}
    return {
        "required": True,
        "description": (
            "A picture (JPEG, PNG, WebP, GIF, BMP, TIFF), a form of pictures under any names, or JSON with "
            f"base64; at most {given.max_body} bytes. application/octet-stream, application/"
            "x-www-form-urlencoded and no Content-Type say nothing: the first bytes then tell a picture "
            "from JSON."
        ),
        "content": {
            ANY_PICTURE: raw_picture(given),
            "application/octet-stream": raw_picture(given),
            "application/json": {"schema": ref("Instances"), "examples": example},
            "multipart/form-data": {"schema": form},
        },
    }
