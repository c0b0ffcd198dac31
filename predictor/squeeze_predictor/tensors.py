"""What the V2 tensors mean: checks an `InferRequest`, classifies, and builds the `InferResponse`.

Shared by every transport that yields the SDK's types, so REST and gRPC cannot drift apart. Runs where a
request is parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from squeezenet.classify import Prediction

from squeeze_predictor.errors import bad_request, shown
from squeeze_predictor.network import FloatArray, Network, Picture
from squeeze_predictor.sdk import InferInput, InferOutput, InferRequest, InferResponse
from squeeze_predictor.signature import OUTPUT_TYPES
from squeeze_predictor.work import Job

# A thousand times what anybody could mean.
MAX_VALUE = 1e6


def input_metadata(crop: int) -> list[dict[str, Any]]:
    """The V2 metadata of the two inputs; a request gives one of them."""
    return [
        {"name": "image", "datatype": "BYTES", "shape": [-1]},
        {"name": "input", "datatype": "FP32", "shape": [-1, 3, crop, crop]},
    ]


def output_metadata() -> list[dict[str, Any]]:
    """The V2 metadata of the outputs, shape [N, k]."""
    return [
        {"name": name, "datatype": datatype, "shape": [-1, -1]} for name, datatype in OUTPUT_TYPES.items()
    ]


def job(request: InferRequest, network: Network, query_top_k: int | None = None) -> Job:
    """What a V2 request asks for, answered by an InferResponse. Raises ApiError naming the field at fault."""
    _check_outputs(request)
    top_k = network.top_k(_asked_top_k(request, query_top_k))
    if len(request.inputs) != 1:
        raise bad_request("RequestInvalid", "give one input: 'image' (BYTES) or 'input' (FP32)", "inputs")
    given = request.inputs[0]
    expected = {"image": "BYTES", "input": "FP32"}.get(given.name)
    if expected is None:
        raise bad_request(
            "InputUnknown",
            f"no input is named {shown(given.name)}; give 'image' (BYTES) or 'input' (FP32)",
            "inputs[0].name",
        )
    if given.datatype != expected:
        raise bad_request(
            "DatatypeInvalid", f"'{given.name}' must have datatype {expected}", "inputs[0].datatype"
        )
    if expected == "BYTES":
        parts = network.picture_parts(_pictures(given, network), top_k)
    else:
        parts = network.tensor_parts(_tensor(given, network), top_k)
    return Job(parts, partial(_response, request))


def picture_request(model_name: str, data: bytes) -> InferRequest:
    """A raw picture as a V2 request of one BYTES element."""
    image = InferInput(name="image", shape=[1], datatype="BYTES", data=[data])
    return InferRequest(model_name=model_name, infer_inputs=[image], parameters={})


def _check_outputs(request: InferRequest) -> None:
    for index, output in enumerate(request.request_outputs or []):
        if output.name not in OUTPUT_TYPES:
            raise bad_request(
                "OutputUnknown",
                f"no output is named {shown(output.name)}; there are {', '.join(OUTPUT_TYPES)}",
                f"outputs[{index}].name",
            )


def _asked_top_k(request: InferRequest, query: int | None) -> int | None:
    asked = (request.parameters or {}).get("top_k", query)
    if asked is not None and type(asked) is not int:
        raise bad_request("TopKInvalid", "top_k must be a whole number", "parameters.top_k")
    return asked


def _pictures(given: InferInput, network: Network) -> list[Picture]:
    if len(given.shape) > 2 or (len(given.shape) == 2 and given.shape[1] != 1):
        raise bad_request("ShapeInvalid", "the shape of 'image' must be [N] or [N, 1]", "inputs[0].shape")
    network.check_batch(given.shape[0], "inputs[0].shape")
    return [Picture(data, f"inputs[0].data[{index}]") for index, data in enumerate(given.data)]


def _tensor(given: InferInput, network: Network) -> FloatArray:
    if len(given.shape) != 4 or given.shape[1:] != [3, network.crop, network.crop]:
        raise bad_request(
            "ShapeInvalid",
            f"the shape of 'input' must be [N, 3, {network.crop}, {network.crop}]",
            "inputs[0].shape",
        )
    network.check_batch(given.shape[0], "inputs[0].shape")
    batch = np.ascontiguousarray(given.data, dtype=np.float32)
    # Also false for NaN. Beyond it sums overflow within the network, and engines then answer anything.
    if not (batch.min() >= -MAX_VALUE and batch.max() <= MAX_VALUE):
        raise bad_request(
            "TensorInvalid",
            f"'input' must hold finite values, none beyond {MAX_VALUE:g}; those of a picture are within 3",
            "inputs[0].data",
        )
    return batch


def _response(request: InferRequest, predictions: Sequence[Sequence[Prediction]]) -> InferResponse:
    columns: dict[str, np.ndarray[Any, Any]] = {
        "class_id": np.array([[p.class_id for p in row] for row in predictions], dtype=np.int64),
        "probability": np.array([[p.probability for p in row] for row in predictions], dtype=np.float32),
        "label": np.array([[p.label for p in row] for row in predictions], dtype=np.object_),
    }
    wanted = [output.name for output in request.request_outputs or []] or list(OUTPUT_TYPES)
    outputs = [
        InferOutput(
            name=name, shape=list(columns[name].shape), datatype=OUTPUT_TYPES[name], data=columns[name]
        )
        for name in wanted
    ]
    return InferResponse(
        response_id=request.id,
        model_name=request.model_name,
        infer_outputs=outputs,
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )
