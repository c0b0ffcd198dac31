"""KServe's V2 (Open Inference) protocol over REST: bytes to an `InferRequest` and back.

The SDK's own parser turns every binary tensor into a Python list and reads BYTES as UTF-8, which loses
pictures; this one keeps float32 arrays and bytes. What it makes are the SDK's types, so that gRPC, which
the SDK parses, can share `tensors.py`. Pure: no server, no network.

Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol and its
binary tensor data extension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from squeeze_predictor import binary_tensors
from squeeze_predictor.errors import bad_request, shown
from squeeze_predictor.protocol_v1 import decode_base64, load_json
from squeeze_predictor.sdk import InferInput, InferRequest, InferResponse, RequestedOutput
from squeeze_predictor.signature import JSON_LENGTH

FORM = '{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["<base64 of a picture>"]}]}'
# More than any tensor here needs; keeps the product of a shape an ordinary number.
MAX_RANK = 8
MAX_SIDE = 2**31 - 1


@dataclass(frozen=True)
class Wire:
    """An encoded answer; `json_length` is set where binary tensors follow the JSON."""

    body: bytes
    json_length: int | None


def parse(body: bytes, json_length: str | None, model_name: str, max_bytes: int) -> InferRequest:
    """An `InferRequest` whose inputs hold float32 arrays (FP32) or lists of bytes (BYTES).

    Args:
        body: the request body: JSON, followed by binary tensors where `json_length` is given.
        json_length: the header `Inference-Header-Content-Length`.
        model_name: the model in the URL.
        max_bytes: limit of one picture, checked before base64 is decoded.

    Raises:
        ApiError: 400 or 413, naming the field.
    """
    head, tail = _split(body, json_length)
    document = load_json(head, FORM)
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise bad_request("RequestInvalid", "id must be a string", "id")
    parameters = _parameters(document, "parameters")
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise bad_request(
            "RequestInvalid", f"'inputs' must be a list with one tensor; the form is {FORM}", "inputs"
        )
    reader = _Tail(tail)
    parsed = [_input(entry, f"inputs[{index}]", reader, max_bytes) for index, entry in enumerate(inputs)]
    if reader.left:
        raise bad_request("TensorInvalid", f"{reader.left} bytes follow the last binary tensor", "inputs")
    return InferRequest(
        model_name=model_name,
        infer_inputs=parsed,
        request_id=request_id,
        parameters=parameters,
        request_outputs=_requested_outputs(document, parameters),
    )


def encode(response: InferResponse) -> Wire:
    """The answer's bytes: JSON, or JSON and binary tensors where the request asked for them."""
    content, json_length = response.to_rest()
    if isinstance(content, bytes):
        return Wire(content, json_length)
    return Wire(orjson.dumps({key: value for key, value in content.items() if value is not None}), None)


class _Tail:
    """Hands out the binary tensors that follow the JSON, in order."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    @property
    def left(self) -> int:
        return len(self._data)

    def take(self, size: int, field: str) -> memoryview:
        if size > len(self._data):
            raise bad_request(
                "TensorInvalid",
                f"{field} announces {size} binary bytes, the body has {len(self._data)} left",
                field,
            )
        taken, self._data = self._data[:size], self._data[size:]
        return taken


def _split(body: bytes, json_length: str | None) -> tuple[bytes, bytes]:
    if json_length is None:
        return body, b""
    if not (json_length.isascii() and json_length.isdigit()) or len(json_length) > 12:
        raise bad_request("HeaderInvalid", f"{JSON_LENGTH} must be a whole number", JSON_LENGTH)
    length = int(json_length)
    if length > len(body):
        raise bad_request(
            "HeaderInvalid", f"{JSON_LENGTH} is {length}, the body has {len(body)} bytes", JSON_LENGTH
        )
    return body[:length], body[length:]


def _parameters(holder: dict[str, Any], field: str) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise bad_request("RequestInvalid", f"{field} must be an object", field)
    return parameters


def _input(entry: object, field: str, tail: _Tail, max_bytes: int) -> InferInput:
    if not isinstance(entry, dict):
        raise bad_request("RequestInvalid", f"{field} must be an object; the form is {FORM}", field)
    name, datatype = entry.get("name"), entry.get("datatype")
    if not isinstance(name, str):
        raise bad_request("RequestInvalid", f"{field}.name must be a string", f"{field}.name")
    if datatype not in ("FP32", "BYTES"):
        raise bad_request("DatatypeInvalid", f"{field}.datatype must be FP32 or BYTES", f"{field}.datatype")
    shape = _shape(entry.get("shape"), f"{field}.shape")
    parameters = _parameters(entry, f"{field}.parameters")
    values: Any
    if "binary_data_size" in parameters:
        if entry.get("data") is not None:
            raise bad_request("TensorInvalid", f"{field} has both data and binary_data_size", field)
        raw = tail.take(_binary_size(parameters, field), field)
        if datatype == "FP32":
            values = binary_tensors.floats(raw, shape, field)
        else:
            values = binary_tensors.strings(raw, shape, field)
    elif datatype == "FP32":
        values = _json_floats(entry.get("data"), shape, f"{field}.data")
    else:
        values = _json_strings(entry.get("data"), shape, f"{field}.data", max_bytes)
    return InferInput(name=name, shape=shape, datatype=datatype, data=values)


def _shape(shape: object, field: str) -> list[int]:
    """A shape without wildcards: the number of elements has to be known before queueing."""
    well_formed = (
        isinstance(shape, list)
        and 1 <= len(shape) <= MAX_RANK
        and all(type(side) is int and 0 <= side <= MAX_SIDE for side in shape)
    )
    if not well_formed:
        raise bad_request(
            "ShapeInvalid", f"{field} must be a list of whole numbers, such as [1] or [1, 3, 227, 227]", field
        )
    assert isinstance(shape, list)
    return shape


def _binary_size(parameters: dict[str, Any], field: str) -> int:
    size = parameters["binary_data_size"]
    if type(size) is not int or size < 0:
        raise bad_request(
            "TensorInvalid", "binary_data_size must be a whole number", f"{field}.parameters.binary_data_size"
        )
    return size


def _json_floats(data: object, shape: list[int], field: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Flat or nested numbers as a float32 array of the given shape."""
    if not isinstance(data, list):
        raise bad_request("TensorInvalid", f"{field} must be a list of numbers", field)
    try:
        values = np.asarray(data)
    except ValueError:
        raise bad_request("TensorInvalid", f"{field} is nested unevenly", field) from None
    if values.size and values.dtype.kind not in "iuf":
        raise bad_request("TensorInvalid", f"{field} must hold only numbers, nested evenly if at all", field)
    binary_tensors.check_count(values.size, shape, field.removesuffix(".data"))
    with np.errstate(over="ignore"):
        return values.astype(np.float32).reshape(shape)


def _json_strings(data: object, shape: list[int], field: str, max_bytes: int) -> list[bytes]:
    if not isinstance(data, list):
        raise bad_request(
            "TensorInvalid", f"{field} must be a list of base64 strings; the form is {FORM}", field
        )
    flat: list[object] = []
    for element in data:
        # One nesting level, as numpy's tolist() gives for shape [N, 1].
        flat += element if isinstance(element, list) else [element]
    binary_tensors.check_count(len(flat), shape, field.removesuffix(".data"))
    binary_tensors.check_batch(len(flat), field.removesuffix(".data"))
    return [decode_base64(element, f"{field}[{index}]", max_bytes) for index, element in enumerate(flat)]


def _requested_outputs(document: dict[str, Any], parameters: dict[str, Any]) -> list[RequestedOutput] | None:
    """The outputs asked for, each with its own `binary_data` or else the request's `binary_data_output`."""
    default = parameters.get("binary_data_output", False)
    if type(default) is not bool:
        raise bad_request(
            "RequestInvalid", "binary_data_output must be true or false", "parameters.binary_data_output"
        )
    outputs = document.get("outputs")
    if outputs is None or outputs == []:
        return None
    if not isinstance(outputs, list):
        raise bad_request("RequestInvalid", "'outputs' must be a list", "outputs")
    requested: list[RequestedOutput] = []
    for index, output in enumerate(outputs):
        field = f"outputs[{index}]"
        if not isinstance(output, dict) or not isinstance(output.get("name"), str):
            raise bad_request("RequestInvalid", f"{field} must be an object with a name", field)
        binary = _parameters(output, f"{field}.parameters").get("binary_data", default)
        if type(binary) is not bool:
            raise bad_request(
                "RequestInvalid", "binary_data must be true or false", f"{field}.parameters.binary_data"
            )
        if output["name"] in [earlier.name for earlier in requested]:
            raise bad_request("RequestInvalid", f"output {shown(output['name'])} is asked for twice", field)
        requested.append(RequestedOutput(output["name"], {"binary_data": binary}))
    return requested
