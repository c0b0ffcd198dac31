"""Traces of a running server, as a receiver of OTLP gets them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from integration.apiserver import free_port
from integration.predictor import predictor_inputs as inputs
from integration.predictor.otlp_receiver import Receiver, receiving
from integration.predictor.predictor_process import Predictor, running, start
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as service

PICTURE = inputs.png(40, 30)
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
PREDICT = "/v1/models/{model_name}:predict"
STAGES = ["queue", "decode", "infer", "encode"]


@dataclass(frozen=True)
class Traced:
    """A server that sends its spans to a receiver."""

    predictor: Predictor
    receiver: Receiver
    address: str


def variables(url: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "50"}


@pytest.fixture
def traced(weights: str, tmp_path: Path) -> Iterator[Traced]:
    port = free_port()
    flags = (f"--weights={weights}", f"--grpc-port={port}", "--access-log=1", "--threads=2")
    with receiving() as receiver, running(tmp_path, *flags, env=variables(receiver.url)) as predictor:
        yield Traced(predictor, receiver, f"127.0.0.1:{port}")


def attributes(span: Span) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}


def test_a_request_over_http_is_a_span_in_its_clients_trace_with_the_stages_below(traced: Traced) -> None:
    with traced.predictor.client() as client:
        path = "/v1/models/digits:predict?top_k=1"
        answer = client.post(path, content=PICTURE, headers={"traceparent": TRACEPARENT})
    root, stages = traced.receiver.trace(f"POST {PREDICT}")
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, PARENT)
    assert root.kind == Span.SPAN_KIND_SERVER
    assert [span.name for span in stages] == STAGES
    assert {span.trace_id for span in stages} == {root.trace_id}
    assert attributes(root) == {
        "http.route": PREDICT,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.request.body.size": len(PICTURE),
        "http.response.body.size": len(answer.content),
    }
    assert root.status.code == Status.STATUS_CODE_UNSET
    assert f'"trace_id":"{TRACE}"' in traced.predictor.log
    assert traced.receiver.services == {"squeeze-predictor"}


def test_a_request_of_two_pictures_in_json_has_the_stages_of_both(traced: Traced) -> None:
    with traced.predictor.client() as client:
        instance = {"b64": inputs.b64(PICTURE)}
        client.post("/v1/models/digits:predict", json={"instances": [instance, instance]})
    root, stages = traced.receiver.trace(f"POST {PREDICT}")
    assert root.parent_span_id == b""
    assert sorted(span.name for span in stages) == sorted([*STAGES[:3] * 2, "encode"])


def test_a_call_over_grpc_is_traced_alike(traced: Traced) -> None:
    element = len(PICTURE).to_bytes(4, "little") + PICTURE
    tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    message = pb.ModelInferRequest(model_name="digits", inputs=[tensor], raw_input_contents=[element])
    with grpc.insecure_channel(traced.address) as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        stub.ModelInfer(message, metadata=(("traceparent", TRACEPARENT),), timeout=60)
    root, stages = traced.receiver.trace("inference.GRPCInferenceService/ModelInfer")
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, PARENT)
    assert [span.name for span in stages] == STAGES
    assert attributes(root) == {
        "rpc.system": "grpc",
        "rpc.service": "inference.GRPCInferenceService",
        "rpc.method": "ModelInfer",
        "rpc.response.status_code": "OK",
    }


def test_refusals_are_spans_too_and_say_nothing_of_the_request(traced: Traced) -> None:
    secret = "DO-NOT-SEND-ME"
    with traced.predictor.client() as client:
        client.post("/v1/models/digits:predict", content=secret.encode())
        client.get(f"/{secret}?{secret}", headers={"X-Anything": secret})
        client.delete(f"/v2/models/{secret}/infer")
    refused, stages = traced.receiver.trace(f"POST {PREDICT}")
    lost, _ = traced.receiver.trace("GET")
    assert [span.name for span in stages] == ["queue", "decode"]
    assert attributes(refused)["http.response.status_code"] == 400
    assert attributes(lost)["http.response.status_code"] == 404
    traced.receiver.trace("DELETE /v2/models/{model_name}/infer")
    assert secret not in "".join(map(str, traced.receiver.spans))


def test_the_last_spans_are_sent_at_the_end_and_failures_are_marked(weights: str, tmp_path: Path) -> None:
    with receiving() as receiver:
        env = variables(receiver.url) | {"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_SERVICE_NAME": "cats"}
        flags = (f"--weights={weights}", "--drain-seconds=2")
        with running(tmp_path, *flags, env=env) as predictor, predictor.client() as client:
            predictor.process.terminate()
            while client.get("/v2/health/live").status_code == 200:
                if client.get("/v2/health/ready").status_code == 503:
                    break
            assert predictor.process.wait(60) == 0
        failed = [span for span in receiver.spans if span.status.code == Status.STATUS_CODE_ERROR]
    assert {span.name for span in failed} == {"GET /v2/health/ready"}
    assert receiver.services == {"cats"}


def test_a_receiver_that_is_not_there_harms_nothing(weights: str, tmp_path: Path) -> None:
    env = variables(f"http://127.0.0.1:{free_port()}")
    flags = (f"--weights={weights}", "--drain-seconds=0")
    with running(tmp_path, *flags, env=env) as predictor, predictor.client() as client:
        assert client.post("/v1/models/digits:predict", content=PICTURE).status_code == 200
        assert predictor.terminate() == 0


def test_nothing_of_it_is_imported_where_it_is_off(weights: str, tmp_path: Path) -> None:
    env = {"PYTHONPROFILEIMPORTTIME": "1"}
    with running(tmp_path, f"--weights={weights}", "--access-log=1", env=env) as predictor:
        with predictor.client() as client:
            assert client.post("/v1/models/digits:predict", content=PICTURE).status_code == 200
        assert "squeeze_predictor.server" in predictor.log
        assert "opentelemetry" not in predictor.log


def test_traces_without_the_packages_end_the_start_with_what_to_install(weights: str, tmp_path: Path) -> None:
    # An empty folder of their name comes first, as if they were not there.
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    env = variables("http://127.0.0.1:1") | {"PYTHONPATH": str(tmp_path)}
    predictor = start(tmp_path / "run", f"--weights={weights}", env=env)
    assert predictor.process.wait(120) == 2
    assert predictor.reason.startswith("ConfigInvalid: OTEL_EXPORTER_OTLP_ENDPOINT is set")
    assert "squeezeserve[tracing]" in predictor.reason
