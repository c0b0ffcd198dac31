"""Sends pictures and checks every answer: closed loop (as fast as answers come) and open loop (by the clock).

In the open loop a request counts from when it was due, not from when it could be sent, so a server that
stalls cannot hide it (no coordinated omission). Traffic goes to 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np

from bench.pictures import Picture

Send = Callable[[Picture], Awaitable[int]]
"""Sends a picture; gives the class that was answered."""


class Shed(Exception):
    """503: the server said that it has enough to do."""


@dataclass
class Result:
    """Seconds from due (or sent) to answered, of right answers; `wrong` holds what else came but 503."""

    duration: float
    latencies: list[float] = field(default_factory=list)
    shed: int = 0
    wrong: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Requests a second, and latencies in ms."""
        ms = np.array(self.latencies or [float("nan")]) * 1000
        return {
            "per_second": len(self.latencies) / self.duration,
            "p50_ms": float(np.percentile(ms, 50)),
            "p99_ms": float(np.percentile(ms, 99)),
            "answers": len(self.latencies),
            "shed": self.shed,
            "wrong": len(self.wrong),
        }


async def closed_loop(send: Send, picture: Picture, concurrency: int, seconds: float) -> Result:
    """`concurrency` clients, each sending its next picture when it has its answer."""
    result = Result(seconds)
    end = time.perf_counter() + seconds

    async def client() -> None:
        while (began := time.perf_counter()) < end:
            await _one(send, picture, began, result)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(concurrency)))
    result.duration = time.perf_counter() - began
    return result


async def open_loop(send: Send, picture: Picture, per_second: float, seconds: float) -> Result:
    """One picture each 1/per_second seconds, whether or not the last was answered."""
    result, tasks = Result(seconds), []
    began = time.perf_counter()
    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(_one(send, picture, due, result)))
    await asyncio.gather(*tasks)
    result.duration = time.perf_counter() - began
    return result


async def _one(send: Send, picture: Picture, began: float, result: Result) -> None:
    try:
        class_id = await send(picture)
    except Shed:
        result.shed += 1
        await asyncio.sleep(0.01)
        return
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError, KeyError) as error:
        result.wrong.append(f"{type(error).__name__}: {error}"[:200])
        await asyncio.sleep(0.01)
        return
    if class_id == picture.class_id:
        result.latencies.append(time.perf_counter() - began)
    else:
        result.wrong.append(f"class {class_id}")


def raw(session: aiohttp.ClientSession, url: str) -> Send:
    """The JPEG as the body; the answer is V1's, or a top-5 list of the same keys."""

    async def send(picture: Picture) -> int:
        return _first(await _post(session, url, picture.jpeg, {"Content-Type": "image/jpeg"}))

    return send


def v1(session: aiohttp.ClientSession, url: str) -> Send:
    """V1's JSON with base64."""

    async def send(picture: Picture) -> int:
        body = json.dumps({"instances": [{"b64": base64.b64encode(picture.jpeg).decode()}]}).encode()
        return _first(await _post(session, url, body, {"Content-Type": "application/json"}))

    return send


def v2_binary(session: aiohttp.ClientSession, url: str) -> Send:
    """V2's binary tensor extension."""

    async def send(picture: Picture) -> int:
        tail = struct.pack("<I", len(picture.jpeg)) + picture.jpeg
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
        tensor["parameters"] = {"binary_data_size": len(tail)}
        head = json.dumps({"inputs": [tensor]}).encode()
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
        }
        answer = await _post(session, url, head + tail, headers)
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
        return int(outputs["class_id"][0])

    return send


def grpc_v2(channel: Any, model: str) -> Send:
    """V2 over gRPC."""
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as service

    stub = service.GRPCInferenceServiceStub(channel)

    async def send(picture: Picture) -> int:
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
        raw_bytes = struct.pack("<I", len(picture.jpeg)) + picture.jpeg
        answer = await stub.ModelInfer(
            pb.ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[raw_bytes])
        )
        names = [output.name for output in answer.outputs]
        return int(np.frombuffer(answer.raw_output_contents[names.index("class_id")], "<i8")[0])

    return send


async def _post(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> Any:
    async with session.post(url, data=body, headers=headers) as response:
        content = await response.read()
        if response.status == 503:
            raise Shed
        if response.status != 200:
            raise ValueError(f"HTTP {response.status}: {content[:120]!r}")
        return json.loads(content)


def _first(answer: Any) -> int:
    return int(answer["predictions"][0]["class_id"])
