"""V2 over gRPC and over REST, with Triton's clients: a third party's reading of the protocol.

Its messages have the same names as KServe's, so a process can import only one of the two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from grpc_health.v1 import health_pb2, health_pb2_grpc
from integration.apiserver import free_port
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import START_SECONDS, Predictor, loading, running, start
from squeezenet.artifact import Artifact, save
from squeezenet.config import ArtifactConfig
from squeezenet.engines.torch_module import SqueezeNet
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as service
from tritonclient.utils import InferenceServerException

PICTURE = inputs.png(80, 60)
MAX_BATCH = 4
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Server:
    """A server that speaks gRPC, and a client of it."""

    predictor: Predictor
    address: str
    triton: triton_grpc.InferenceServerClient


@pytest.fixture(scope="module")
def server(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    flags = (f"--weights={weights}", f"--grpc-port={port}", f"--max-batch={MAX_BATCH}", "--max-bytes=400000")
    with running(tmp_path_factory.mktemp("grpc"), *flags) as predictor:
        address = f"127.0.0.1:{port}"
        with triton_grpc.InferenceServerClient(address) as client:
            yield Server(predictor, address, client)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the default limits, and an input of ImageNet's size."""
    network = SqueezeNet("squeezenet1_1", 10)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    artifact = Artifact(ArtifactConfig("squeezenet1_1", 10), tuple("0123456789"), state, "sha256:" + "0" * 64)
    weights = save(artifact, tmp_path_factory.mktemp("artifact"))
    port = free_port()
    flags = (f"--weights={weights}", f"--grpc-port={port}")
    with (
        running(tmp_path_factory.mktemp("roomy"), *flags) as predictor,
        triton_grpc.InferenceServerClient(f"127.0.0.1:{port}") as client,
    ):
        yield Server(predictor, f"127.0.0.1:{port}", client)


def picture_input(pictures: list[bytes]) -> triton_grpc.InferInput:
    tensor = triton_grpc.InferInput("image", [len(pictures)], "BYTES")
    tensor.set_data_from_numpy(np.array(pictures, dtype=np.object_))
    return tensor


def best(result: Any) -> tuple[int, str, float]:
    """The best class of the first picture, whatever the transport."""
    label = result.as_numpy("label")[0][0]
    return (
        int(result.as_numpy("class_id")[0][0]),
        label.decode() if isinstance(label, bytes) else label,
        float(result.as_numpy("probability")[0][0]),
    )


def test_health_and_metadata(server: Server) -> None:
    assert server.triton.is_server_live()
    assert server.triton.is_server_ready()
    assert server.triton.is_model_ready("digits")
    assert server.triton.get_server_metadata().name
    described = server.triton.get_model_metadata("digits")
    assert [tensor.name for tensor in described.inputs] == ["image", "input"]
    assert list(described.inputs[1].shape) == [-1, 3, 64, 64]


def test_the_same_picture_gives_the_same_answer_as_over_http(server: Server) -> None:
    with server.predictor.client() as client:
        over_http = inputs.raw(client, "digits", PICTURE)
    found = best(server.triton.infer("digits", [picture_input([PICTURE])]))
    assert found[:2] == over_http[:2]
    assert found[2] == pytest.approx(over_http[2], abs=1e-6)


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_http_client(server: Server, binary: bool) -> None:
    expected = best(server.triton.infer("digits", [picture_input([PICTURE])]))
    with triton_http.InferenceServerClient(server.predictor.url.removeprefix("http://")) as client:
        assert client.is_model_ready("digits")
        tensor = triton_http.InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([PICTURE], dtype=np.object_), binary_data=True)
        outputs = [
            triton_http.InferRequestedOutput(name, binary_data=binary)
            for name in ("class_id", "label", "probability")
        ]
        found = best(client.infer("digits", [tensor], outputs=outputs))
    assert found[:2] == expected[:2]
    assert found[2] == pytest.approx(expected[2], abs=1e-6)


def test_floats_raw_and_as_contents(server: Server) -> None:
    batch = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    tensor = triton_grpc.InferInput("input", list(batch.shape), "FP32")
    tensor.set_data_from_numpy(batch)
    raw = server.triton.infer("digits", [tensor]).as_numpy("probability")
    assert raw.shape == (2, 5)
    message = request("input", "FP32", batch.shape, contents={"fp32_contents": batch.ravel().tolist()})
    with grpc.insecure_channel(server.address) as channel:
        answer = service.GRPCInferenceServiceStub(channel).ModelInfer(message)
    column = [output.name for output in answer.outputs].index("probability")
    as_contents = np.frombuffer(answer.raw_output_contents[column], "<f4").reshape(2, 5)
    np.testing.assert_array_equal(raw, as_contents)


def test_several_pictures_and_chosen_outputs(server: Server) -> None:
    result = server.triton.infer(
        "digits",
        [picture_input([PICTURE, inputs.png(64, 64, seed=1)])],
        outputs=[triton_grpc.InferRequestedOutput("class_id")],
        request_id="7",
        parameters={"top_k": 2},
    )
    assert result.get_response().id == "7"
    assert [output.name for output in result.get_response().outputs] == ["class_id"]
    assert result.as_numpy("class_id").shape == (2, 2)


def request(
    name: str, datatype: str, shape: Any, *, contents: Any = None, raw: list[bytes] | None = None, **more: Any
) -> Any:
    tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(shape)}
    if contents is not None:
        tensor["contents"] = contents
    fields = {"model_name": "digits", "inputs": [tensor], "raw_input_contents": raw or [], **more}
    return pb.ModelInferRequest(**fields)


def element(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


REFUSED = {
    "another model": (request("image", "BYTES", [1], model_name="cats"), "NOT_FOUND", "ModelNotFound"),
    "no picture": (request("image", "BYTES", [1], raw=[element(b"")]), "INVALID_ARGUMENT", "PictureEmpty"),
    "not a picture": (
        request("image", "BYTES", [1], raw=[element(b"%PDF-1.7")]),
        "INVALID_ARGUMENT",
        "PictureUnsupported",
    ),
    "too large": (
        request("image", "BYTES", [1], contents={"bytes_contents": [b"\xff\xd8" + bytes(400_000)]}),
        "INVALID_ARGUMENT",
        "PictureTooLarge",
    ),
    "too many": (
        request("image", "BYTES", [5], contents={"bytes_contents": [PICTURE] * 5}),
        "INVALID_ARGUMENT",
        "BatchTooLarge",
    ),
    "wrong count": (
        request("image", "BYTES", [2], contents={"bytes_contents": [PICTURE]}),
        "INVALID_ARGUMENT",
        "ShapeMismatch",
    ),
    "no content": (request("input", "FP32", [1, 3, 64, 64]), "INVALID_ARGUMENT", "ShapeMismatch"),
    "cut element": (
        request("image", "BYTES", [1], raw=[element(PICTURE)[:100]]),
        "INVALID_ARGUMENT",
        "TensorInvalid",
    ),
    "both contents": (
        request("image", "BYTES", [1], contents={"bytes_contents": [PICTURE]}, raw=[element(PICTURE)]),
        "INVALID_ARGUMENT",
        "TensorInvalid",
    ),
    "raw for another number of inputs": (
        request("image", "BYTES", [1], raw=[b"", b""]),
        "INVALID_ARGUMENT",
        "RequestInvalid",
    ),
    "no input": (
        pb.ModelInferRequest(model_name="digits"),
        "INVALID_ARGUMENT",
        "RequestInvalid",
    ),
    "negative side": (request("image", "BYTES", [-1]), "INVALID_ARGUMENT", "ShapeInvalid"),
    "no shape": (request("image", "BYTES", []), "INVALID_ARGUMENT", "ShapeInvalid"),
    "integers": (request("input", "INT64", [1, 3, 64, 64]), "INVALID_ARGUMENT", "DatatypeInvalid"),
    "top_k as text": (
        request("image", "BYTES", [1], raw=[element(PICTURE)], parameters={"top_k": {"string_param": "3"}}),
        "INVALID_ARGUMENT",
        "TopKInvalid",
    ),
    "unknown output": (
        request("image", "BYTES", [1], raw=[element(PICTURE)], outputs=[{"name": "score"}]),
        "INVALID_ARGUMENT",
        "OutputUnknown",
    ),
    "output twice": (
        request("image", "BYTES", [1], raw=[element(PICTURE)], outputs=[{"name": "label"}] * 2),
        "INVALID_ARGUMENT",
        "RequestInvalid",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_request_is_refused_and_the_next_good_one_answered(server: Server, case: str) -> None:
    message, code, reason = REFUSED[case]
    with grpc.insecure_channel(server.address) as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(message)
        assert caught.value.code().name == code
        assert dict(caught.value.trailing_metadata())["squeeze-reason"] == reason
        assert stub.ModelInfer(request("image", "BYTES", [1], raw=[element(PICTURE)])).outputs


@pytest.mark.parametrize("method", ["ModelInfer", "ModelMetadata"])
def test_a_damaged_message_is_refused_like_any_other(server: Server, method: str) -> None:
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(b"\xffdamaged")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(caught.value.trailing_metadata())["squeeze-reason"] == "RequestInvalid"
    assert "Traceback" not in server.predictor.log


@pytest.mark.parametrize("size", [3_900_000, 4_100_000, 8_100_000, 60_000_000])
def test_messages_beyond_the_librarys_usual_limit(roomy: Server, size: int) -> None:
    """Several pictures, and what follows their end up to the size: decoders ignore it."""
    filling = bytes(size // 3 - len(PICTURE))
    result = roomy.triton.infer("digits", [picture_input([PICTURE + filling] * 3)])
    assert result.as_numpy("class_id").shape == (3, 5)
    assert len(set(result.as_numpy("probability")[:, 0])) == 1


@pytest.mark.parametrize("count", [8, 16, 64])
def test_batches_of_floats_beyond_the_librarys_usual_limit(roomy: Server, count: int) -> None:
    batch = np.random.default_rng(0).normal(size=(count, 3, 227, 227)).astype(np.float32)
    tensor = triton_grpc.InferInput("input", list(batch.shape), "FP32")
    tensor.set_data_from_numpy(batch)
    assert roomy.triton.infer("digits", [tensor]).as_numpy("class_id").shape == (count, 5)


def test_one_limit_for_http_and_grpc_at_its_edge(roomy: Server) -> None:
    limit = 64 * 2**20
    empty = request("image", "BYTES", [1], raw=[b""])
    with grpc.insecure_channel(roomy.address) as channel, roomy.predictor.client() as client:
        stub = service.GRPCInferenceServiceStub(channel)
        for beyond in (0, 1):
            padding = limit - empty.ByteSize() + beyond
            message = request("image", "BYTES", [1], raw=[bytes(padding)])
            message.raw_input_contents[0] = bytes(padding - (message.ByteSize() - limit - beyond))
            assert message.ByteSize() == limit + beyond
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(message)
            # At the limit the message is read, and refused for what it holds.
            expected = grpc.StatusCode.RESOURCE_EXHAUSTED if beyond else grpc.StatusCode.INVALID_ARGUMENT
            assert caught.value.code() is expected
            response = client.post("/v2/models/digits/infer", content=b" " * (limit + beyond), headers=JSON)
            assert response.status_code == (413 if beyond else 400)
        assert str(limit) in caught.value.details()
        assert str(limit) in response.json()["error"]["message"]


def test_nobody_can_load_or_unload_a_model(server: Server) -> None:
    for change in (server.triton.load_model, server.triton.unload_model):
        with pytest.raises(InferenceServerException, match=r"UNIMPLEMENTED|not found|Method not"):
            change("digits")
    assert server.triton.is_model_ready("digits")
    assert "Traceback" not in server.predictor.log


def test_health_cannot_be_watched(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "Traceback" not in server.predictor.log


def test_standard_health_service(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "inference.GRPCInferenceService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(service="other"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_before_the_model_is_loaded(tmp_path: Path) -> None:
    port = free_port()
    with (
        loading(tmp_path, f"--grpc-port={port}"),
        triton_grpc.InferenceServerClient(f"127.0.0.1:{port}") as triton,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        grpc.channel_ready_future(channel).result(START_SECONDS)
        status = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status
        assert status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert triton.is_server_live()
        assert not triton.is_server_ready()
        assert not triton.is_model_ready("digits")
        with pytest.raises(InferenceServerException, match=r"UNAVAILABLE.*still loading"):
            triton.infer("digits", [picture_input([PICTURE])])
        with pytest.raises(InferenceServerException, match="NOT_FOUND"):
            triton.is_model_ready("cats")


def test_a_deadline_is_kept_and_the_server_goes_on(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        message = request("image", "BYTES", [1], raw=[element(PICTURE)])
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(message, timeout=0.00001)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert stub.ModelInfer(message, timeout=60).outputs


def test_calls_are_counted(server: Server) -> None:
    server.triton.infer("digits", [picture_input([PICTURE])])
    with server.predictor.client() as client:
        page = client.get("/metrics").text
    sample = 'squeeze_requests_total{code="OK",route="/inference.GRPCInferenceService/ModelInfer"}'
    assert sample in page


def test_many_calls_at_a_time(server: Server) -> None:
    async def calls() -> list[Any]:
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = service.GRPCInferenceServiceStub(channel)
            message = request("image", "BYTES", [1], raw=[element(PICTURE)])
            return await asyncio.gather(*(stub.ModelInfer(message, timeout=120) for _ in range(40)))

    answers = asyncio.run(calls())
    assert len({answer.raw_output_contents[1] for answer in answers}) == 1


def test_sigterm_finishes_a_call_and_unready_shows(weights: str, tmp_path: Path) -> None:
    port = free_port()
    flags = (f"--weights={weights}", f"--grpc-port={port}", "--drain-seconds=2")
    with (
        running(tmp_path, *flags) as predictor,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub, health = service.GRPCInferenceServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        message = request("image", "BYTES", [1], raw=[element(PICTURE)])
        assert stub.ModelInfer(message).outputs
        predictor.process.terminate()
        assert httpx.get(f"{predictor.url}/v2/health/ready", timeout=60).status_code == 503
        status = health.Check(health_pb2.HealthCheckRequest()).status
        assert status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert stub.ModelInfer(message).outputs, "answered while draining"
        assert predictor.process.wait(60) == 0
    assert "Traceback" not in predictor.log


def test_without_a_drain_every_new_connection_brings_its_call(weights: str, tmp_path: Path) -> None:
    """Where the server ends one before its call is there, the client opens the next, on and on."""
    port = free_port()
    tensor = triton_grpc.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([PICTURE], dtype=np.object_))

    def label(_: int) -> bytes:
        with triton_grpc.InferenceServerClient(f"127.0.0.1:{port}") as client:
            answer = client.infer("digits", [tensor], client_timeout=10).as_numpy("label")
            return bytes(answer.flat[0])

    flags = (f"--weights={weights}", f"--grpc-port={port}", "--drain-seconds=0")
    with running(tmp_path, *flags), ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(label, range(80)))) == 1


def test_a_taken_port_ends_the_start_with_its_name(weights: str, server: Server, tmp_path: Path) -> None:
    taken = server.address.rpartition(":")[2]
    predictor = start(tmp_path, f"--weights={weights}", f"--grpc-port={taken}")
    assert predictor.process.wait(120) == 2
    assert "--grpc-port" in predictor.reason
