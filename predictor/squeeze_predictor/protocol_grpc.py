"""KServe's V2 protocol over gRPC: messages to an `InferRequest` and back. Pure: no server, no network.

The SDK's own conversion trusts the message: a shape that does not fit its content, or an input twice, goes
through. What this one makes are the SDK's types, so that REST shares `tensors.py`.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from squeeze_predictor import binary_tensors
from squeeze_predictor.errors import bad_request, shown
from squeeze_predictor.protocol_v2 import MAX_RANK, MAX_SIDE
from squeeze_predictor.sdk import InferInput, InferRequest, InferResponse, RequestedOutput

Message = Any  # the SDK's generated messages are untyped


def parse(message: Message) -> InferRequest:
    """A `ModelInferRequest` with inputs of float32 arrays (FP32) or lists of bytes (BYTES).

    Raises ApiError 400, naming the field.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise bad_request(
            "RequestInvalid",
            f"raw_input_contents has {len(raw)} tensors, inputs has {len(message.inputs)}",
            "raw_input_contents",
        )
    inputs = [
        _input(tensor, raw[index] if raw else None, f"inputs[{index}]")
        for index, tensor in enumerate(message.inputs)
    ]
    names = [output.name for output in message.outputs]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise bad_request(
                "RequestInvalid", f"output {shown(name)} is asked for twice", f"outputs[{index}]"
            )
    return InferRequest(
        model_name=message.model_name,
        infer_inputs=inputs,
        request_id=message.id or None,
        parameters=_parameters(message.parameters),
        request_outputs=[RequestedOutput(name) for name in names] or None,
    )


def encode(response: InferResponse) -> Message:
    """A `ModelInferResponse`; tensors travel raw, which every client reads and no client has to ask for."""
    outputs, raw = [], []
    for output in response.outputs:
        outputs.append({"name": output.name, "datatype": output.datatype, "shape": output.shape})
        values = output.data
        is_text = output.datatype == "BYTES"
        raw.append(binary_tensors.pack_strings(values.ravel().tolist()) if is_text else values.tobytes())
    return pb.ModelInferResponse(
        model_name=response.model_name, id=response.id or "", outputs=outputs, raw_output_contents=raw
    )


def metadata(described: Mapping[str, Any]) -> Message:
    """A `ModelMetadataResponse`."""
    return pb.ModelMetadataResponse(
        name=described["name"],
        platform="squeezenet",
        inputs=described["inputs"],
        outputs=described["outputs"],
    )


def _input(tensor: Message, raw: bytes | None, field: str) -> InferInput:
    shape = list(tensor.shape)
    if not 1 <= len(shape) <= MAX_RANK or not all(0 <= side <= MAX_SIDE for side in shape):
        raise bad_request("ShapeInvalid", f"{field}.shape must be whole numbers, such as [1]", field)
    if tensor.datatype not in ("FP32", "BYTES"):
        raise bad_request("DatatypeInvalid", f"{field}.datatype must be FP32 or BYTES", f"{field}.datatype")
    if raw is not None and tensor.HasField("contents"):
        raise bad_request("TensorInvalid", f"{field} has both contents and raw_input_contents", field)
    values: Any
    if tensor.datatype == "BYTES" and raw is not None:
        values = binary_tensors.strings(raw, shape, field)
    elif tensor.datatype == "BYTES":
        binary_tensors.check_count(len(tensor.contents.bytes_contents), shape, field)
        values = list(tensor.contents.bytes_contents)
    elif raw is None:
        binary_tensors.check_count(len(tensor.contents.fp32_contents), shape, field)
        values = np.asarray(tensor.contents.fp32_contents, dtype=np.float32).reshape(shape)
    else:
        values = binary_tensors.floats(raw, shape, field)
    return InferInput(name=tensor.name, shape=shape, datatype=tensor.datatype, data=values)


def _parameters(parameters: Mapping[str, Message]) -> dict[str, Any]:
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "string_param")
        for name, value in parameters.items()
    }
