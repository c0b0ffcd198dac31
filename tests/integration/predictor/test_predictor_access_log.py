"""The access log of a running server, over both transports."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from integration.apiserver import free_port
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor, running

PICTURE = inputs.png(40, 30)
INFER = "/inference.GRPCInferenceService/ModelInfer"
SECRET = "DO-NOT-LOG-ME"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def call(address: str, method: str, message: bytes) -> None:
    """A gRPC call of raw bytes."""
    with grpc.insecure_channel(address) as channel:
        channel.unary_unary(method)(message, metadata=(("traceparent", TRACEPARENT),), timeout=60)


def entries(predictor: Predictor, count: int) -> list[dict[str, Any]]:
    """The lines of the log that are objects, once there are so many: a line is written after the answer."""
    end = time.monotonic() + 20
    while len(found := [line for line in predictor.log.splitlines() if line.startswith("{")]) < count:
        assert time.monotonic() < end, predictor.log
        time.sleep(0.02)
    return [json.loads(line) for line in found]


def test_http_and_grpc_requests_are_written(weights: str, tmp_path: Path) -> None:
    port = free_port()
    flags = (f"--weights={weights}", f"--grpc-port={port}", "--access-log=1")
    with running(tmp_path, *flags) as predictor, predictor.client() as client:
        answer = client.post(f"/v1/models/digits:predict?top_k=1&{SECRET}", content=PICTURE)
        client.get(f"/{SECRET}", headers={"X-Anything": SECRET})
        with pytest.raises(grpc.RpcError, match="no model named"):
            call(f"127.0.0.1:{port}", INFER, b"")
        with pytest.raises(grpc.RpcError) as unknown:
            call(f"127.0.0.1:{port}", f"/{SECRET}/{SECRET}", b"")
        assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED
        call(f"127.0.0.1:{port}", "/grpc.health.v1.Health/Check", b"")
        with pytest.raises(grpc.RpcError, match="no such service"):
            call(f"127.0.0.1:{port}", "/grpc.health.v1.Health/Check", b"\x0a\x01x")
        predicted, lost, refused, health, unhealthy = entries(predictor, 5)
    assert predicted.pop("milliseconds") > 0
    assert predicted.pop("time")
    assert predicted == {
        "protocol": "http",
        "method": "POST",
        "route": "/v1/models/{model_name}:predict",
        "status": 200,
        "bytes_in": len(PICTURE),
        "bytes_out": len(answer.content),
    }
    assert (lost["route"], lost["status"]) == ("other", 404)
    assert (refused["protocol"], refused["route"], refused["status"]) == ("grpc", INFER, "NOT_FOUND")
    assert (refused["bytes_in"], refused["trace_id"]) == (0, TRACE)
    assert (health["route"], health["status"]) == ("/grpc.health.v1.Health/Check", "OK")
    assert health["bytes_out"] == 2
    assert unhealthy["status"] == "NOT_FOUND"
    assert SECRET not in predictor.log
    assert "GET /" not in predictor.log, "uvicorn's own lines"


def test_only_failures_of_the_server_are_sure_to_be_written(weights: str, tmp_path: Path) -> None:
    flags = (f"--weights={weights}", "--access-log=0.000001", "--drain-seconds=2")
    with running(tmp_path, *flags) as predictor, predictor.client() as client:
        client.post("/v1/models/digits:predict", content=PICTURE)
        predictor.process.terminate()
        while client.get("/v2/health/ready").status_code != 503:
            time.sleep(0.01)
        (entry,) = entries(predictor, 1)
    assert (entry["route"], entry["status"]) == ("/v2/health/ready", 503)
