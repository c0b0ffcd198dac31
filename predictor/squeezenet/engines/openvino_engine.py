"""SqueezeNet on OpenVINO: the engine for CPUs, several times as fast as PyTorch's eager mode.

The network is built operation by operation from the artifact's tensors, so neither PyTorch nor a model
file is needed. The normalisation of the input is folded into the first convolution: the network takes pixels
as they are. In int8 the graph holds the artifact's 8-bit weights and the rounding between the convolutions,
from which OpenVINO makes integer kernels.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from squeezenet.architecture import fire_channels
from squeezenet.artifact import Artifact
from squeezenet.engines.base import Precision
from squeezenet.engines.numpy_reference import STEPS
from squeezenet.engines.openvino_runtime import core, import_openvino
from squeezenet.preprocess import fold_normalisation, normalisation
from squeezenet.quantization import Quantized

if TYPE_CHECKING:
    import openvino

Array = NDArray[np.float32]


class OpenVINOEngine:
    """SqueezeNet compiled for this CPU. ``int8`` needs an artifact with int8 weights.

    ``threads`` are the CPU threads in all, ``streams`` the pictures computed at a time, each by an equal
    share of the threads: 1 for the shortest time of one picture, ``threads`` for the most pictures a second.
    A batch is computed picture by picture, which is no slower than whole, and needs the memory of one.
    """

    def __init__(
        self,
        artifact: Artifact,
        threads: int = 1,
        streams: int | None = None,
        precision: Precision = "f32",
    ) -> None:
        streams = max(1, min(streams or threads, threads))
        model = build_model(artifact, precision)
        options = {
            "INFERENCE_NUM_THREADS": max(1, threads // streams),
            "NUM_STREAMS": 1,
            # bfloat16 would be chosen by itself where the CPU has it.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            # A container's CPUs are a share of time, not a set of cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._input = artifact.config.input
        self._precision: Precision = precision
        self._classes = artifact.config.num_classes
        # A model with several streams computes in threads of its own, which cost each picture two hand-overs;
        # one with a single stream computes in its caller's.
        self._idle: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        plugin = core()
        with ThreadPoolExecutor(streams) as pool:
            for compiled in pool.map(lambda _: plugin.compile_model(model, "CPU", options), range(streams)):
                self._idle.put(_Request(compiled))

    @property
    def name(self) -> str:
        return "openvino"

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def precision(self) -> Precision:
        return self._precision

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        return (1,)

    def classify_pixels(self, pixels: NDArray[np.uint8]) -> Array:
        """Logits [N, classes], float32, of RGB squares uint8 [N, crop, crop, 3]."""
        return self._infer(pixels)

    def classify_tensors(self, batch: Array) -> Array:
        """Logits [N, classes], float32, of normalised inputs float32 [N, 3, crop, crop]."""
        scale, shift = normalisation(self._input)
        channels_last = np.moveaxis(batch, 1, -1)
        return self._infer(((channels_last - shift) / scale).astype(np.float32))

    def _infer(self, pixels: NDArray[np.uint8] | Array) -> Array:
        result = np.empty((len(pixels), self._classes), np.float32)
        with self._request() as request:
            for picture, row in zip(pixels, result, strict=True):
                request.compute(picture, row)
        return result

    @contextmanager
    def _request(self) -> Iterator[_Request]:
        request = self._idle.get()
        try:
            yield request
        finally:
            self._idle.put(request)


class _Request:
    """One picture at a time, computed by the thread that asks."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        # Here and not in `compute`: the first two views of a process, made by two threads at once, wait for
        # each other for ever, one with Python's lock and one with that of a C++ static.
        self._pixels: Array = self._request.get_input_tensor().data
        self._logits: Array = self._request.get_output_tensor().data

    def compute(self, picture: NDArray[np.uint8] | Array, row: Array) -> None:
        """Fills the row, float32 [classes], from a picture [crop, crop, 3]."""
        self._pixels[0] = picture
        self._request.infer()
        row[:] = self._logits[0]


def build_model(artifact: Artifact, precision: Precision = "f32") -> openvino.Model:
    """The network as an OpenVINO graph: float32 [1, crop, crop, 3] of 0..255 to logits [1, classes].

    Each convolution's node has torchvision's name. Raises ValueError for int8 without int8 weights.
    """
    openvino = import_openvino()
    crop, architecture = artifact.config.input.crop, artifact.config.architecture
    graph = _graph(openvino.opset14, artifact, precision)
    pixels = graph.ops.parameter([1, crop, crop, 3], np.float32, name="pixels")
    maps = graph.ops.transpose(graph.pixels(pixels), np.array([0, 3, 1, 2]))
    maps = graph.convolution(maps, "features.0", stride=2)
    fires = fire_channels(architecture)
    # The positions in `features` that hold no fire module hold a pooling.
    for position in range(2, max(fires) + 1):
        maps = graph.fire(maps, f"features.{position}") if position in fires else graph.max_pool(maps)
    scores = graph.convolution(maps, "classifier.1")
    logits = graph.ops.reduce_mean(scores, np.array([2, 3]), keep_dims=False)
    return openvino.Model([logits], [pixels], architecture)


def _graph(ops: Any, artifact: Artifact, precision: Precision) -> _Graph:
    if precision != "int8":
        return _Graph(ops, fold_normalisation(artifact.state, artifact.config.input))
    if artifact.int8 is None:
        raise ValueError("the artifact has no int8 weights")
    return _QuantizedGraph(ops, artifact.int8)


class _Graph:
    """OpenVINO's operations with the artifact's tensors put in."""

    def __init__(self, ops: Any, state: Mapping[str, Array]) -> None:
        self.ops = ops
        self._state = state

    def convolution(self, maps: Any, name: str, stride: int = 1, padding: int = 0) -> Any:
        """A convolution with its bias and ReLU; every one of SqueezeNet's has a ReLU behind it."""
        pads = [padding, padding]
        product = self.ops.convolution(
            maps, self.weight(name), [stride, stride], pads, pads, [1, 1], name=name
        )
        bias = self._state[f"{name}.bias"].reshape(1, -1, 1, 1)
        return self.activation(self.ops.relu(self.ops.add(product, bias)), name)

    def pixels(self, pixels: Any) -> Any:
        """The network's input."""
        return pixels

    def weight(self, name: str) -> Any:
        """A convolution's weights."""
        return self._state[f"{name}.weight"]

    def activation(self, maps: Any, name: str) -> Any:  # noqa: ARG002  # int8 rounds by the name
        """What a convolution gives on, behind its ReLU."""
        return maps

    def fire(self, maps: Any, name: str) -> Any:
        squeezed = self.convolution(maps, f"{name}.squeeze")
        narrow = self.convolution(squeezed, f"{name}.expand1x1")
        wide = self.convolution(squeezed, f"{name}.expand3x3", padding=1)
        return self.ops.concat([narrow, wide], 1)

    def max_pool(self, maps: Any) -> Any:
        """3x3, stride 2, with a last window that may reach beyond the edge (PyTorch's ceil_mode)."""
        height, width = list(maps.get_output_shape(0))[2:]
        beyond = [(height - 3) % 2, (width - 3) % 2]
        return self.ops.max_pool(maps, [2, 2], [1, 1], [0, 0], beyond, [3, 3]).output(0)


class _QuantizedGraph(_Graph):
    """The same network on int8 weights and 8-bit values between the convolutions."""

    def __init__(self, ops: Any, int8: Quantized) -> None:
        super().__init__(ops, {f"{name}.bias": layer.bias for name, layer in int8.convolutions.items()})
        self._layers = int8.convolutions

    def pixels(self, pixels: Any) -> Any:
        return self._rounded(pixels, np.float32(255))

    def weight(self, name: str) -> Any:
        layer = self._layers[name]
        integers = self.ops.convert(self.ops.constant(layer.weight), "f32")
        return self.ops.multiply(integers, layer.scale.reshape(-1, 1, 1, 1))

    def activation(self, maps: Any, name: str) -> Any:
        limit = self._layers[name].limit
        return maps if limit is None else self._rounded(maps, np.float32(limit))

    def _rounded(self, maps: Any, limit: np.float32) -> Any:
        zero = np.float32(0)
        return self.ops.fake_quantize(maps, zero, limit, zero, limit, STEPS + 1)
