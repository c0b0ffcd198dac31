"""Describes the infer route of `routes/v2.py`."""

from __future__ import annotations

from squeeze_predictor.openapi.parts import (
    ANY_PICTURE,
    PICTURE,
    Facts,
    Json,
    base64_picture,
    closed,
    count,
    deadline,
    listed,
    model_name,
    operation,
    raw_picture,
    ref,
    shape,
    top_k,
)
from squeeze_predictor.signature import JSON_LENGTH, OUTPUT_TYPES

REFUSED = (400, 404, 408, 413, 415, 503, 504)
_FLAG: Json = {"type": "boolean"}
_BINARY_SIZE: Json = {"type": "integer", "minimum": 0, "description": "Bytes of the tensor after the JSON."}


def paths(given: Facts) -> Json:
    """The path item of the route."""
    infer = operation(
        "v2_infer",
        "predict",
        "Classes of pictures or preprocessed tensors",
        {"200": _answer()},
        REFUSED,
        requestBody=_body(given),
    )
    parameters = [
        model_name(given),
        top_k(given),
        deadline(),
        _json_length("The JSON's length, where tensors follow it."),
    ]
    return {"/v2/models/{model_name}/infer": {"parameters": parameters, "post": infer}}


def schemas(given: Facts) -> Json:
    """The schemas of V2's requests and answers."""
    pictures, sides = count(given.max_batch, 1), (3, given.crop, given.crop)
    return {
        "InferRequest": {
            "type": "object",
            "properties": {
                "id": {"type": ["string", "null"]},
                "parameters": _free({"top_k": count(given.num_classes, 1), "binary_data_output": _FLAG}),
                "inputs": listed({"oneOf": [ref("ImageInput"), ref("TensorInput")]}, 1, 1),
                "outputs": {"oneOf": [{"type": "null"}, _outputs()]},
            },
            "required": ["inputs"],
        },
        "ImageInput": _input(
            "image", "BYTES", shape(pictures, {"const": 1}, least=1), _texts(given), "[N] or [N, 1]"
        ),
        "TensorInput": _input(
            "input",
            "FP32",
            shape(pictures, *({"const": side} for side in sides)),
            {"type": "array", "description": "Numbers, flat or nested as the shape is."},
            f"[N, {', '.join(map(str, sides))}]",
        ),
        "InferResponse": closed(
            {
                "id": {"type": ["string", "null"]},
                "model_name": {"const": given.model},
                "model_version": {"type": "null"},
                "outputs": listed({"oneOf": [_output(name, given) for name in OUTPUT_TYPES]}, 1, 3),
            },
            "id",
            "model_version",
        ),
    }


def _free(properties: Json) -> Json:
    """V2's parameters: those that mean something here, and any others."""
    return {"type": ["object", "null"], "properties": properties}


def _texts(given: Facts) -> Json:
    text = base64_picture(given)
    return listed({"oneOf": [text, listed(text, 1, 1)]}, 1, given.max_batch)


def _input(name: str, datatype: str, sides: Json, data: Json, form: str) -> Json:
    """A tensor with its elements in ``data``, or in binary after the JSON."""
    return {
        "type": "object",
        "properties": {
            "name": {"const": name},
            "datatype": {"const": datatype},
            "shape": {**sides, "description": f"{form}; it counts as many elements as there are."},
            "parameters": _free({"binary_data_size": _BINARY_SIZE}),
            "data": data,
        },
        "required": ["name", "datatype", "shape"],
    }


def _outputs() -> Json:
    output = {
        "type": "object",
        "properties": {"name": {"enum": list(OUTPUT_TYPES)}, "parameters": _free({"binary_data": _FLAG})},
        "required": ["name"],
    }
    return {**listed(output, most=len(OUTPUT_TYPES)), "description": "Those that are wanted; else all."}


def _output(name: str, given: Facts) -> Json:
    elements: dict[str, Json] = {
        "class_id": count(given.num_classes - 1),
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "label": {"type": "string"},
    }
    properties = {
        "name": {"const": name},
        "datatype": {"const": OUTPUT_TYPES[name]},
        "shape": listed(count(max(given.max_batch, given.num_classes), 1), 2, 2),
        "data": listed(elements[name], 1),
        "parameters": closed({"binary_data_size": _BINARY_SIZE}),
    }
    return {
        **closed(properties, "data", "parameters"),
        "oneOf": [{"required": ["data"]}, {"required": ["parameters"]}],
    }


def _json_length(description: str) -> Json:
    return {"name": JSON_LENGTH, "in": "header", **_length(description)}


def _length(description: str) -> Json:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}}


def _answer() -> Json:
    return {
        "description": "The outputs, each of shape [N, k]; binary after the JSON where that was asked for.",
        "headers": {JSON_LENGTH: _length("The JSON's length, where tensors follow it.")},
        "content": {
            "application/json": {"schema": ref("InferResponse")},
            "application/octet-stream": {},
        },
    }


def _body(given: Facts) -> Json:
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [PICTURE]}
    return {
        "required": True,
        "description": (
            "A picture, or JSON with one tensor: `image` or `input`. Tensors may follow the JSON as binary "
            f"data: the header {JSON_LENGTH} then says where they begin, and the Content-Type does not "
            f"matter. At most {given.max_body} bytes."
        ),
        "content": {
            ANY_PICTURE: raw_picture(given),
            "application/octet-stream": {"schema": {"maxLength": given.max_body}},
            "application/json": {
                "schema": ref("InferRequest"),
                "examples": {"one picture": {"value": {"inputs": [image]}}},
            },
        },
    }
