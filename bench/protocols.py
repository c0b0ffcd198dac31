"""The ways to send a picture, each encoded once a picture, and to read the class from the answer."""

from __future__ import annotations

import base64
import functools
import json
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from bench.client import Client
from bench.pictures import Picture

Send = Callable[[Picture], Awaitable[int]]
"""Sends a picture; gives the class that was answered."""

Headers = Mapping[str, str]
BOUNDARY = "picture-of-the-benchmark"


class Shed(Exception):
    """503: the server said that it has enough to do."""


@dataclass(frozen=True)
class Protocol:
    """How a picture becomes headers and a body, and which class an answer's body names."""

    encode: Callable[[Picture], tuple[Headers, bytes]]
    class_of: Callable[[bytes], int]


def over_http(client: Client, protocol: Protocol, path: str, host: str = "127.0.0.1") -> Send:
    """POSTs pictures to a path of the client's server; `host` is the Host header."""

    @functools.cache
    def encoded(picture: Picture) -> bytes:
        headers, body = protocol.encode(picture)
        every = {"Host": host, "Accept": "*/*", **headers, "Content-Length": str(len(body))}
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in every.items()), "", ""]
        return "\r\n".join(lines).encode() + body

    async def send(picture: Picture) -> int:
        answer = await client.ask(encoded(picture))
        if answer.status == 503:
            raise Shed
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}: {answer.body[:120]!r}")
        return protocol.class_of(answer.body)

    return send


def grpc_v2(channel: Any, model: str) -> Send:
    """V2 over gRPC."""
    # Imported here, because a load generator in a pod has no use for it.
    import grpc
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as service

    stub = service.GRPCInferenceServiceStub(channel)

    @functools.cache
    def encoded(picture: Picture) -> Any:
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
        return pb.ModelInferRequest(
            model_name=model, inputs=[tensor], raw_input_contents=[_bytes_tensor(picture)]
        )

    async def send(picture: Picture) -> int:
        try:
            answer = await stub.ModelInfer(encoded(picture))
        except grpc.RpcError as error:
            raise ValueError(str(error)) from error
        names = [output.name for output in answer.outputs]
        return int(np.frombuffer(answer.raw_output_contents[names.index("class_id")], "<i8")[0])

    return send


def _raw(picture: Picture) -> tuple[Headers, bytes]:
    return {"Content-Type": picture.media_type}, picture.data


def _v1(picture: Picture) -> tuple[Headers, bytes]:
    instances = [{"b64": base64.b64encode(picture.data).decode()}]
    return {"Content-Type": "application/json"}, json.dumps({"instances": instances}).encode()


def _v2_binary(picture: Picture) -> tuple[Headers, bytes]:
    tail = _bytes_tensor(picture)
    parameters = {"binary_data_size": len(tail)}
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": parameters}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return headers, head + tail


def _form(field: str, picture: Picture) -> tuple[Headers, bytes]:
    head = (
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="{field}"; filename="picture.jpg"\r\n'
        f"Content-Type: {picture.media_type}\r\n\r\n"
    )
    body = head.encode() + picture.data + f"\r\n--{BOUNDARY}--\r\n".encode()
    return {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, body


def _bytes_tensor(picture: Picture) -> bytes:
    return struct.pack("<I", len(picture.data)) + picture.data


def _first_prediction(body: bytes) -> int:
    """Of V1's answer."""
    return int(orjson.loads(body)["predictions"][0]["class_id"])


def _first_class(body: bytes) -> int:
    """Of V2's answer."""
    outputs = {output["name"]: output["data"] for output in orjson.loads(body)["outputs"]}
    return int(outputs["class_id"][0])


def _of_a_batch(body: bytes) -> int:
    """Of a list of V1's answers, one for each picture that was sent."""
    return int(orjson.loads(body)[0]["predictions"][0]["class_id"])


RAW = Protocol(_raw, _first_prediction)
V1 = Protocol(_v1, _first_prediction)
V2_BINARY = Protocol(_v2_binary, _first_class)
FORM = Protocol(functools.partial(_form, "image"), _first_prediction)
FORM_BATCH = Protocol(functools.partial(_form, "images"), _of_a_batch)
