"""Requests to the real application, and messages of gRPC: answered, or refused as documented."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import orjson
from fuzz import mutations
from fuzz.target import Target
from google.protobuf.message import DecodeError
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from squeeze_predictor import network as networks
from squeeze_predictor import protocol_grpc, server, settings, tensors
from squeeze_predictor.errors import ApiError
from squeeze_predictor.network import Network
from squeeze_predictor.openapi.refusals import REASONS
from squeeze_predictor.routes.context import Context
from squeeze_predictor.work import Job, Work
from squeezenet import artifact
from unit.predictor.predictor_app import ask, context

FLAGS = ("--max-batch=4", "--max-bytes=100000", "--max-pixels=200000", "--queue-size=4", "--streams=1")
SAMPLE = Path(artifact.__file__).parent / "builtin" / "digits" / "samples" / "7.png"
PREDICT, INFER = "/v1/models/default:predict", "/v2/models/default/infer"
BOUNDARY = b"b"


@dataclass(frozen=True)
class Form:
    """How the bytes after an input's first two become a request."""

    method: str
    path: str
    content_type: bytes = b""
    binary: bool = False


# The first byte of an input says which form; one more than there are is a message of gRPC.
FORMS = (
    Form("POST", PREDICT, b"application/json"),
    Form("POST", INFER, b"application/json"),
    Form("POST", INFER, b"application/octet-stream", binary=True),
    Form("POST", PREDICT, b"multipart/form-data; boundary=b"),
    Form("PUT", PREDICT),
    Form("POST", PREDICT, b"application/x-www-form-urlencoded"),
    Form("POST", INFER, b"image/png"),
)
V1, V2, BINARY, MULTIPART, RAW, FORM, V2_RAW, GRPC = range(len(FORMS) + 1)
# The second byte says which query.
QUERIES = (
    *(b"", b"top_k=1", b"top_k=10", b"top_k=0", b"top_k=11", b"top_k=", b"top_k=-1", b"top_k=1_0"),
    *(b"top_k=%D9%A3", b"top_k=1&top_k=2", b"top_k=9999999999", b"x=%00%ff", b"%ff=&&==", b"top_k=+1"),
)


class _Alarm(logging.Handler):
    """An error in the server's log is a fault, whatever the client was told."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


@contextmanager
def _alarm() -> Iterator[None]:
    handler, log = _Alarm(logging.ERROR), logging.getLogger("squeeze_predictor")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Server:
    """The application with the built-in digits network."""

    def __init__(self) -> None:
        chosen = settings.parse(["--weights", "builtin://digits", *FLAGS], {})
        self.network: Network = networks.load(chosen, threads=1)
        self.loop = asyncio.new_event_loop()
        self.context = self.loop.run_until_complete(self._context())
        self.app = server.build_app(self.context)

    async def _context(self) -> Context:
        return context(*FLAGS, network=self.network)

    def http(self, form: Form, query: bytes, body: bytes) -> None:
        headers = [(b"content-type", form.content_type)] if form.content_type else []
        if form.binary:
            # The first two bytes are what the header says, so that it can be right and wrong.
            headers.append((b"inference-header-content-length", str(_length(body)).encode()))
            body = body[2:]
        request = ask(self.app, form.method, form.path, body, headers, query)
        answer = self.loop.run_until_complete(request)
        if answer.status == 200:
            assert answer.body
            return
        error = orjson.loads(answer.body)["error"]
        assert error["code"] == answer.status
        _check_refusal(answer.status, error["reason"])
        assert len(answer.body) < 1000

    def grpc(self, data: bytes) -> None:
        try:
            message = pb.ModelInferRequest.FromString(data)
        except DecodeError:
            return

        def parse(network: Network) -> Job:
            job = tensors.job(protocol_grpc.parse(message), network)
            return replace(job, answer=lambda rows: protocol_grpc.encode(job.answer(rows)))

        work = self.context.model.admission.do(Work(parse, heavy=False), self.network)
        try:
            answer = self.loop.run_until_complete(work)
        except ApiError as error:
            _check_refusal(error.status, error.reason)
            return
        answer.SerializeToString()


def _check_refusal(status: int, reason: str) -> None:
    assert reason in REASONS[status], reason
    assert status < 500 or status == 503, reason


def _length(body: bytes) -> int:
    return int.from_bytes(body[:2], "little")


@cache
def _server() -> _Server:
    return _Server()


def run(data: bytes) -> None:
    """Raises where an answer is not a documented one."""
    if len(data) < 2:
        return
    form = data[0] % (len(FORMS) + 1)
    with _alarm():
        if form == GRPC:
            _server().grpc(data[1:])
        else:
            _server().http(FORMS[form], QUERIES[data[1] % len(QUERIES)], data[2:])


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Within the structure of the form, mostly; sometimes with another query."""
    if len(data) < 2:
        return mutations.bytewise(data, rng)
    form, query, body = data[0] % (len(FORMS) + 1), data[1:2], data[2:]
    if rng.random() < 0.1:
        query = rng.randbytes(1)
    elif form == GRPC:
        return bytes([form]) + _grpc(data[1:], rng)
    elif rng.random() < 0.2:
        body = mutations.bytewise(body, rng)
    elif form == MULTIPART:
        body = BOUNDARY.join(mutations.one_of(body.split(BOUNDARY), rng))
    elif form == BINARY:
        body = _binary(body, rng)
    elif body[:1] in (b"{", b"["):
        body = mutations.json_document(body, rng)
    else:
        body = mutations.png(body, rng)
    return bytes([form]) + query + body


def _binary(body: bytes, rng: random.Random) -> bytes:
    length = _length(body)
    head, tail = body[2 : 2 + length], body[2 + length :]
    if rng.random() < 0.5:
        head = mutations.json_document(head, rng)
    else:
        tail = mutations.bytewise(tail, rng)
    wrong = rng.choice((-1, 1, 7)) if rng.random() < 0.1 else 0
    return struct.pack("<H", (len(head) + wrong) % 65536) + head + tail


def _grpc(data: bytes, rng: random.Random) -> bytes:
    """Another message, by its fields where it can be read."""
    try:
        message = pb.ModelInferRequest.FromString(data)
    except DecodeError:
        return mutations.bytewise(data, rng)
    if not message.inputs or rng.random() < 0.2:
        return mutations.bytewise(data, rng)
    tensor = rng.choice(list(message.inputs))
    match rng.randrange(8):
        case 0:
            tensor.shape.append(rng.choice((0, 1, -1, 3, 40, 2**31, 2**62)))
        case 1 if tensor.shape:
            tensor.shape[rng.randrange(len(tensor.shape))] = rng.choice((0, 1, -1, 3, 40, 2**31, -(2**63)))
        case 2:
            tensor.datatype = rng.choice(("FP32", "BYTES", "INT64", "", "fp32"))
        case 3:
            tensor.name = rng.choice(("image", "input", "", "x" * 200))
        case 4:
            tensor.contents.fp32_contents.append(rng.choice((0.0, 1e38, float("nan"), float("inf"))))
        case 5 if message.raw_input_contents:
            at = rng.randrange(len(message.raw_input_contents))
            message.raw_input_contents[at] = mutations.bytewise(message.raw_input_contents[at], rng)
        case 6:
            message.parameters["top_k"].int64_param = rng.choice((0, 1, -1, 10, 11, 2**62))
        case _:
            message.outputs.add(name=rng.choice(("label", "class_id", "probability", "", "x")))
    return bytes(message.SerializeToString())


def seeds() -> list[bytes]:
    """A good request of each form."""
    picture = SAMPLE.read_bytes()
    text = base64.b64encode(picture).decode()
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}
    side = _server().network.crop
    shape = [1, 3, side, side]
    floats = np.zeros(shape, "<f4").tobytes()
    element = struct.pack("<I", len(picture)) + picture
    outputs = [{"name": "label", "parameters": {"binary_data": True}}, {"name": "class_id"}]

    def binary(name: str, datatype: str, sides: list[int], tail: bytes) -> bytes:
        size = {"binary_data_size": len(tail)}
        tensor = {"name": name, "shape": sides, "datatype": datatype, "parameters": size}
        head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
        return struct.pack("<H", len(head)) + head + tail

    part = b'\r\nContent-Disposition: form-data; name="x"; filename="x"\r\n\r\n' + picture + b"\r\n--"
    bodies: list[tuple[int, bytes]] = [
        (V1, json.dumps({"instances": [{"b64": text}, {"image": {"b64": text}}]}).encode()),
        (
            V2,
            json.dumps(
                {"id": "1", "inputs": [image], "parameters": {"top_k": 2}, "outputs": outputs}
            ).encode(),
        ),
        (V2, json.dumps({"inputs": [{**image, "shape": [2, 1], "data": [[text], [text]]}]}).encode()),
        (
            V2,
            json.dumps(
                {
                    "inputs": [
                        {
                            "name": "input",
                            "shape": [1, 3, 2, 2],
                            "datatype": "FP32",
                            "data": [[[[0, 1], [2, 3.5]]] * 3],
                        }
                    ]
                }
            ).encode(),
        ),
        (BINARY, binary("image", "BYTES", [1], element)),
        (BINARY, binary("input", "FP32", shape, floats)),
        (MULTIPART, b"--" + BOUNDARY + part + BOUNDARY + part + BOUNDARY + b"--\r\n"),
        (RAW, picture),
        (FORM, picture),
        (V2_RAW, picture),
    ]
    messages = [
        pb.ModelInferRequest(
            model_name="default",
            inputs=[{"name": name, "datatype": datatype, "shape": sides}],
            raw_input_contents=[raw],
        )
        for name, datatype, sides, raw in (("image", "BYTES", [1], element), ("input", "FP32", shape, floats))
    ]
    http = [bytes([form, 0]) + body for form, body in bodies]
    return http + [bytes([GRPC]) + message.SerializeToString() for message in messages]


TARGET = Target("requests", seeds, run, mutate)
