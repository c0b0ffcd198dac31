"""V2 bodies: what becomes of the tensors, and the field each wrong request is refused with."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
import orjson
import pytest
from squeeze_predictor import protocol_v2
from squeeze_predictor.errors import ApiError
from squeeze_predictor.sdk import InferOutput, InferResponse

TEXT = base64.b64encode(b"picture").decode()


def image(**changes: Any) -> dict[str, Any]:
    return {"name": "image", "shape": [1], "datatype": "BYTES", "data": [TEXT], **changes}


def floats(**changes: Any) -> dict[str, Any]:
    return {"name": "input", "shape": [2, 2], "datatype": "FP32", "data": [1, 2.5, 3, 4], **changes}


def parse(document: dict[str, Any], tail: bytes | None = None) -> Any:
    head = json.dumps(document).encode()
    if tail is None:
        return protocol_v2.parse(head, None, "m", 100)
    return protocol_v2.parse(head + tail, str(len(head)), "m", 100)


@pytest.mark.parametrize("data", [[1, 2.5, 3, 4], [[1, 2.5], [3, 4]]])
def test_json_floats_flat_or_nested(data: object) -> None:
    (tensor,) = parse({"inputs": [floats(data=data)]}).inputs
    assert tensor.data.dtype == np.float32
    assert tensor.data.tolist() == [[1, 2.5], [3, 4]]


def test_binary_floats() -> None:
    values = np.arange(4, dtype="<f4")
    entry = {"name": "input", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
    (tensor,) = parse({"inputs": [entry]}, values.tobytes()).inputs
    assert tensor.data.tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(("shape", "data"), [([1], [TEXT]), ([1, 1], [[TEXT]]), ([2], [TEXT, TEXT])])
def test_base64_pictures(shape: list[int], data: list[Any]) -> None:
    (tensor,) = parse({"inputs": [image(shape=shape, data=data)]}).inputs
    assert tensor.data == [b"picture"] * len(data)


def test_binary_pictures_are_not_text() -> None:
    picture = b"\xff\xd8\xff\x00\n"
    tail = struct.pack("<I", len(picture)) + picture
    entry = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(tail)},
    }
    assert parse({"inputs": [entry]}, tail).inputs[0].data == [picture]


@pytest.mark.parametrize(
    ("document", "reason", "field"),
    [
        ({}, "RequestInvalid", "inputs"),
        ({"inputs": []}, "RequestInvalid", "inputs"),
        ({"inputs": {}}, "RequestInvalid", "inputs"),
        ({"inputs": ["x"]}, "RequestInvalid", "inputs[0]"),
        ({"id": 7, "inputs": [image()]}, "RequestInvalid", "id"),
        ({"parameters": [], "inputs": [image()]}, "RequestInvalid", "parameters"),
        ({"inputs": [image(name=1)]}, "RequestInvalid", "inputs[0].name"),
        ({"inputs": [image(datatype="INT8")]}, "DatatypeInvalid", "inputs[0].datatype"),
        ({"inputs": [image(datatype=["FP32"])]}, "DatatypeInvalid", "inputs[0].datatype"),
        ({"inputs": [image(shape=1)]}, "ShapeInvalid", "inputs[0].shape"),
        ({"inputs": [image(shape=[-1])]}, "ShapeInvalid", "inputs[0].shape"),
        ({"inputs": [image(shape=[True])]}, "ShapeInvalid", "inputs[0].shape"),
        ({"inputs": [image(shape=[])]}, "ShapeInvalid", "inputs[0].shape"),
        ({"inputs": [image(shape=[2**40])]}, "ShapeInvalid", "inputs[0].shape"),
        ({"inputs": [image(data=TEXT)]}, "TensorInvalid", "inputs[0].data"),
        ({"inputs": [image(data=["?"])]}, "Base64Invalid", "inputs[0].data[0]"),
        ({"inputs": [image(shape=[7])]}, "ShapeMismatch", "inputs[0].shape"),
        ({"inputs": [image(shape=[2])]}, "ShapeMismatch", "inputs[0].shape"),
        ({"inputs": [image(data=[TEXT, TEXT])]}, "ShapeMismatch", "inputs[0].shape"),
        ({"inputs": [image(shape=[2], data=["?"])]}, "ShapeMismatch", "inputs[0].shape"),
        ({"inputs": [image(shape=[4097], data=["?"] * 4097)]}, "BatchTooLarge", "inputs[0]"),
        ({"inputs": [floats(data=[1, 2, 3])]}, "ShapeMismatch", "inputs[0].shape"),
        ({"inputs": [floats(data=["1", "2", "3", "4"])]}, "TensorInvalid", "inputs[0].data"),
        ({"inputs": [floats(data=[True, 2, 3, None])]}, "TensorInvalid", "inputs[0].data"),
        ({"inputs": [floats(data=[[1, 2], [3]])]}, "TensorInvalid", "inputs[0].data"),
        ({"inputs": [floats(data=None)]}, "TensorInvalid", "inputs[0].data"),
        ({"inputs": [image()], "outputs": [{}]}, "RequestInvalid", "outputs[0]"),
        ({"inputs": [image()], "outputs": [{"name": "label"}] * 2}, "RequestInvalid", "outputs[1]"),
        (
            {"inputs": [image()], "parameters": {"binary_data_output": 1}, "outputs": []},
            "RequestInvalid",
            "parameters.binary_data_output",
        ),
    ],
)
def test_refusals_name_the_field(document: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(document)
    error = caught.value
    assert (error.status, error.reason, error.field) == (400, reason, field)


def test_wrong_count_names_both_numbers() -> None:
    with pytest.raises(ApiError, match=r"has 1 elements, its shape \[7\] means 7"):
        parse({"inputs": [image(shape=[7])]})


@pytest.mark.parametrize(
    ("entry", "tail", "reason"),
    [
        ({"shape": [1], "datatype": "FP32", "size": 4}, b"\0\0\0", "TensorInvalid"),
        ({"shape": [1], "datatype": "FP32", "size": 4}, b"\0\0\0\0\0", "TensorInvalid"),
        ({"shape": [2], "datatype": "FP32", "size": 4}, b"\0\0\0\0", "ShapeMismatch"),
        ({"shape": [1], "datatype": "FP32", "size": -4}, b"", "TensorInvalid"),
        ({"shape": [1], "datatype": "FP32", "size": "4"}, b"\0\0\0\0", "TensorInvalid"),
        ({"shape": [1], "datatype": "BYTES", "size": 3}, b"\1\0\0", "TensorInvalid"),
        ({"shape": [1], "datatype": "BYTES", "size": 5}, b"\2\0\0\0x", "TensorInvalid"),
        ({"shape": [2], "datatype": "BYTES", "size": 5}, b"\1\0\0\0x", "ShapeMismatch"),
        ({"shape": [1], "datatype": "BYTES", "size": 8}, bytes(8), "ShapeMismatch"),
        # Lengths of zero: a list of millions if it were made.
        ({"shape": [1], "datatype": "BYTES", "size": 2**26}, bytes(2**26), "ShapeMismatch"),
        ({"shape": [2**24], "datatype": "BYTES", "size": 2**26}, bytes(2**26), "BatchTooLarge"),
    ],
)
def test_binary_sizes_are_checked(entry: dict[str, Any], tail: bytes, reason: str) -> None:
    tensor = {"name": "t", "parameters": {"binary_data_size": entry.pop("size")}, **entry}
    with pytest.raises(ApiError) as caught:
        parse({"inputs": [tensor]}, tail)
    assert (caught.value.status, caught.value.reason) == (400, reason)


@pytest.mark.parametrize("header", ["x", "-1", "", "1e3", "9" * 20, "100000"])
def test_json_length_header_is_checked(header: str) -> None:
    with pytest.raises(ApiError) as caught:
        protocol_v2.parse(b'{"inputs": []}', header, "m", 100)
    assert caught.value.field == "Inference-Header-Content-Length"


def test_outputs_take_the_default_of_the_request_unless_they_say_otherwise() -> None:
    outputs = [{"name": "label"}, {"name": "class_id", "parameters": {"binary_data": False}}]
    parameters = {"binary_data_output": True}
    request = parse({"inputs": [image()], "parameters": parameters, "outputs": outputs})
    assert [(output.name, output.binary_data) for output in request.request_outputs] == [
        ("label", True),
        ("class_id", False),
    ]


def test_encode_json_and_binary() -> None:
    values = np.array([[1, 2]], dtype=np.int64)

    def response(binary: bool) -> InferResponse:
        output = InferOutput(name="class_id", shape=[1, 2], datatype="INT64", data=values)
        return InferResponse("id-1", "m", [output], use_binary_outputs=binary)

    plain = protocol_v2.encode(response(False))
    assert plain.json_length is None
    assert orjson.loads(plain.body)["outputs"][0]["data"] == [1, 2]
    assert orjson.loads(plain.body)["id"] == "id-1"
    binary = protocol_v2.encode(response(True))
    assert binary.json_length is not None
    assert orjson.loads(binary.body[: binary.json_length])["outputs"][0]["parameters"] == {
        "binary_data_size": 16
    }
    assert np.frombuffer(binary.body[binary.json_length :], np.int64).tolist() == [1, 2]
