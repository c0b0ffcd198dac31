"""The classifier's own limits and failures, with an engine that fails on order."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from squeeze_predictor import tensors
from squeeze_predictor.errors import ApiError
from squeeze_predictor.lifecycle import Lifecycle
from squeeze_predictor.network import Network, Picture
from squeeze_predictor.parts import Rows
from squeeze_predictor.progress import Progress
from squeeze_predictor.sdk import InferInput, InferRequest, RequestedOutput
from squeezenet.architecture import tensor_shapes
from squeezenet.artifact import Artifact
from squeezenet.config import ArtifactConfig, InputSpec
from squeezenet.engines.base import Precision
from squeezenet.pictures import Limits


class StubEngine:
    """Logits that are the picture's mean in class 3; raises `error` if it has one."""

    name = "stub"
    device = "cpu"
    precision: Precision = "f32"
    batch_sizes = (1, 4, 16)

    def __init__(self) -> None:
        self.error: Exception | None = None

    def classify_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.classify_tensors(pixels.astype(np.float32))

    def classify_tensors(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.error is not None:
            raise self.error
        logits = np.zeros((len(batch), 10), dtype=np.float32)
        logits[:, 3] = batch.mean(axis=(1, 2, 3))
        return logits


@pytest.fixture
def network() -> Network:
    state = {name: np.zeros(shape, np.float32) for name, shape in tensor_shapes("squeezenet1_1", 10).items()}
    config = ArtifactConfig("squeezenet1_1", 10, InputSpec(32, 32))
    artifact = Artifact(config, tuple("abcdefghij"), state, "sha256:" + "0" * 64)
    return Network(artifact, StubEngine(), "x", "cuda", Limits(10_000, 10_000), max_batch=40, default_top_k=5)


def png(size: tuple[int, int] = (40, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "white").save(buffer, "PNG")
    return buffer.getvalue()


def request(datatype: str, data: object, shape: list[int], name: str, **more: object) -> InferRequest:
    tensor = InferInput(name=name, shape=shape, datatype=datatype, data=data)
    return InferRequest(model_name="m", infer_inputs=[tensor], parameters={}, **more)


def classified(network: Network, pictures: list[Picture], top_k: int) -> Rows:
    return [row for part in network.picture_parts(pictures, top_k) for row in part.compute()]


def answered(network: Network, case: InferRequest, **more: Any) -> Any:
    job = tensors.job(case, network, **more)
    return job.answer([row for part in job.parts for row in part.compute()])


def test_parts_of_one_kind_may_be_inferred_together(network: Network) -> None:
    tensors_ = network.tensor_parts(np.ones((3, 3, 32, 32), np.float32), 2)
    pictures = network.picture_parts([Picture(png())] * 2, 2)
    assert len({part.infer for part in tensors_}) == len({part.infer for part in pictures}) == 1
    assert tensors_[0].infer != pictures[0].infer
    for parts in (tensors_, pictures):
        logits = parts[0].infer(np.concatenate([part.prepare() for part in parts]))
        together = [part.rows(logits[i : i + 1]) for i, part in enumerate(parts)]
        assert together == [part.compute() for part in parts]
        assert together[0][0][0].label == "d"


def test_a_model_for_tiny_pictures_is_warmed_up_too(network: Network) -> None:
    network.limits = Limits(max_bytes=100, max_pixels=100)
    network.warm_up(batch_size=0, workers=1)
    assert [rate.batch for rate in network.capacity] == [1, 4, 16]
    assert network.batch_size in (1, 4, 16)


def test_batch_limit_at_its_edge(network: Network) -> None:
    assert len(classified(network, [Picture(png())] * 40, 1)) == 40
    with pytest.raises(ApiError, match="at most 40"):
        classified(network, [Picture(png())] * 41, 1)
    with pytest.raises(ApiError, match="no picture"):
        classified(network, [], 1)


@pytest.mark.parametrize(("size", "status"), [((100, 100), None), ((101, 100), 413)])
def test_pixel_limit_at_its_edge(network: Network, size: tuple[int, int], status: int | None) -> None:
    if status is None:
        assert classified(network, [Picture(png(size))], 1)
        return
    with pytest.raises(ApiError) as caught:
        classified(network, [Picture(png(size), "instances[0].b64")], 1)
    assert (caught.value.status, caught.value.field) == (status, "instances[0].b64")


@pytest.mark.parametrize("asked", [0, -1, 11])
def test_top_k_outside_the_classes(network: Network, asked: int) -> None:
    assert [network.top_k(edge) for edge in (None, 1, 10)] == [5, 1, 10]
    with pytest.raises(ApiError, match="between 1 and 10"):
        network.top_k(asked)


def test_plain_engine_failure_leaves_the_server_alive(network: Network) -> None:
    lifecycle = Lifecycle(Progress(60))
    lifecycle.loaded(network)
    network.engine.error = ValueError("secret detail")  # type: ignore[attr-defined]
    with pytest.raises(ApiError) as caught:
        classified(network, [Picture(png())], 1)
    assert caught.value.status == 500
    assert "secret" not in caught.value.message
    assert lifecycle.ready


def test_sticky_cuda_failure_ends_liveness(network: Network) -> None:
    lifecycle = Lifecycle(Progress(60))
    lifecycle.loaded(network)
    network.engine.error = RuntimeError("CUDA error: an illegal memory access")  # type: ignore[attr-defined]
    with pytest.raises(ApiError):
        classified(network, [Picture(png())], 1)
    assert not lifecycle.ready
    assert lifecycle.failure
    with pytest.raises(ApiError, match="must be restarted"):
        lifecycle.serving()


def test_out_of_memory_is_a_503_and_the_server_lives_on(network: Network) -> None:
    class OutOfMemoryError(RuntimeError):
        """Named as torch names its own."""

    network.engine.error = OutOfMemoryError("CUDA error? no: CUDA out of memory")  # type: ignore[attr-defined]
    with pytest.raises(ApiError) as caught:
        classified(network, [Picture(png())], 1)
    assert caught.value.status == 503
    assert network.broken is None


def test_lifecycle_never_becomes_ready_again() -> None:
    lifecycle = Lifecycle(Progress(60))
    lifecycle.drain()
    with pytest.raises(ApiError, match="still loading"):
        lifecycle.serving()
    assert not lifecycle.ready
    assert lifecycle.draining


def test_cpu_in_the_place_of_cuda_shows(network: Network) -> None:
    assert network.fell_back
    assert network.properties()["requested_device"] == "cuda"
    assert network.properties()["device"] == "cpu"


@pytest.mark.parametrize(
    ("case", "field"),
    [
        (request("BYTES", [b""], [1], "picture"), "inputs[0].name"),
        (request("FP32", np.zeros((1,), np.float32), [1], "image"), "inputs[0].datatype"),
        (request("BYTES", [b"", b""], [1, 2], "image"), "inputs[0].shape"),
        (request("BYTES", [], [0], "image"), "inputs[0].shape"),
        (request("FP32", np.zeros((1, 3, 31, 32), np.float32), [1, 3, 31, 32], "input"), "inputs[0].shape"),
        (
            request("FP32", np.full((1, 3, 32, 32), np.nan, np.float32), [1, 3, 32, 32], "input"),
            "inputs[0].data",
        ),
        (
            request("BYTES", [b""], [1], "image", request_outputs=[RequestedOutput("score")]),
            "outputs[0].name",
        ),
    ],
)
def test_tensor_refusals_name_the_field(network: Network, case: InferRequest, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        answered(network, case)
    assert (caught.value.status, caught.value.field) == (400, field)


@pytest.mark.parametrize("top_k", [True, "2", 1.5, 0, 11])
def test_top_k_parameter_must_be_a_number_of_classes(network: Network, top_k: object) -> None:
    case = request("BYTES", [png()], [1], "image")
    case.parameters = {"top_k": top_k}
    with pytest.raises(ApiError) as caught:
        answered(network, case)
    assert caught.value.status == 400


def test_response_holds_only_what_was_asked_for(network: Network) -> None:
    case = request(
        "BYTES", [png()] * 2, [2], "image", request_outputs=[RequestedOutput("label")], request_id="7"
    )
    response = answered(network, case, query_top_k=3)
    assert response.id == "7"
    assert [(output.name, output.shape) for output in response.outputs] == [("label", [2, 3])]


@pytest.mark.parametrize("value", [1.1e6, -1.1e6, 3e38, np.inf, -np.inf, np.nan])
def test_a_tensor_beyond_any_use_is_refused(network: Network, value: float) -> None:
    """An engine may answer it: OpenVINO's ReLU turns NaN, which overflowing sums leave, into 0."""
    batch = np.zeros((2, 3, 32, 32), np.float32)
    batch[1, 2, 31, 31] = value
    with pytest.raises(ApiError) as caught:
        tensors.job(request("FP32", batch, [2, 3, 32, 32], "input"), network)
    assert (caught.value.reason, caught.value.field) == ("TensorInvalid", "inputs[0].data")


def test_the_edge_of_a_tensors_range_is_within_it(network: Network) -> None:
    batch = np.full((1, 3, 32, 32), 1e6, np.float32)
    assert tensors.job(request("FP32", batch, [1, 3, 32, 32], "input"), network).parts
