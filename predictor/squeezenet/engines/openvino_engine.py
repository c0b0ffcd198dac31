"""SqueezeNet on OpenVINO: the engine for CPUs, several times as fast as PyTorch's eager mode.

The network is built operation by operation from the artifact's tensors, so neither PyTorch nor a model
file is needed. The normalisation of the input is folded into the first convolution, which has no padding
in either architecture: the network takes pixels as they are.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from squeezenet.architecture import fire_channels
from squeezenet.artifact import Artifact
from squeezenet.preprocess import normalisation

if TYPE_CHECKING:
    import openvino

Array = NDArray[np.float32]

# The converter of other frameworks' models: half of the import time, and it wants to report its use.
_CONVERTER = "openvino.tools.ovc"


class OpenVINOEngine:
    """SqueezeNet compiled for this CPU, float32.

    ``threads`` are the CPU threads in all, ``streams`` the pictures computed at a time, each by an equal
    share of the threads: 1 for the shortest time of one picture, ``threads`` for the most pictures a second.
    A batch is computed picture by picture, which is no slower than whole, and needs the memory of one.
    """

    def __init__(self, artifact: Artifact, threads: int = 1, streams: int | None = None) -> None:
        openvino = import_openvino()
        streams = max(1, min(streams or threads, threads))
        compiled = openvino.Core().compile_model(
            build_model(artifact),
            "CPU",
            {
                "INFERENCE_NUM_THREADS": max(1, threads),
                "NUM_STREAMS": streams,
                # bfloat16 would be chosen by itself where the CPU has it.
                "INFERENCE_PRECISION_HINT": "f32",
                # A container's CPUs are a share of time, not a set of cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._input = artifact.config.input
        self._classes = artifact.config.num_classes
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(streams):
            self._idle.put(compiled.create_infer_request())

    @property
    def name(self) -> str:
        return "openvino"

    @property
    def device(self) -> str:
        return "cpu"

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
                request.get_input_tensor().data[0] = picture
                request.infer()
                row[:] = request.get_output_tensor().data[0]
        return result

    @contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._idle.get()
        try:
            yield request
        finally:
            self._idle.put(request)


def import_openvino() -> Any:
    """The module, imported without its converter. Raises ImportError where it is not installed."""
    known = _CONVERTER in sys.modules
    if not known:
        sys.modules[_CONVERTER] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if not known:
            del sys.modules[_CONVERTER]
    return openvino


def build_model(artifact: Artifact) -> openvino.Model:
    """The network as an OpenVINO graph: float32 [1, crop, crop, 3] of 0..255 to logits [1, classes]."""
    openvino = import_openvino()
    crop, architecture = artifact.config.input.crop, artifact.config.architecture
    graph = _Graph(openvino.opset14, fold_normalisation(artifact))
    pixels = graph.ops.parameter([1, crop, crop, 3], np.float32, name="pixels")
    maps = graph.ops.transpose(pixels, np.array([0, 3, 1, 2]))
    maps = graph.convolution(maps, "features.0", stride=2)
    fires = fire_channels(architecture)
    # The positions in `features` that hold no fire module hold a pooling.
    for position in range(2, max(fires) + 1):
        maps = graph.fire(maps, f"features.{position}") if position in fires else graph.max_pool(maps)
    scores = graph.convolution(maps, "classifier.1")
    logits = graph.ops.reduce_mean(scores, np.array([2, 3]), keep_dims=False)
    return openvino.Model([logits], [pixels], architecture)


def fold_normalisation(artifact: Artifact) -> Mapping[str, Array]:
    """The artifact's tensors, with a first convolution that takes pixels of 0..255 (computed in float64)."""
    scale, shift = normalisation(artifact.config.input)
    weight = artifact.state["features.0.weight"].astype(np.float64)
    bias = artifact.state["features.0.bias"] + np.einsum("ocyx,c->o", weight, shift)
    folded = weight * scale[None, :, None, None]
    return {
        **artifact.state,
        "features.0.weight": folded.astype(np.float32),
        "features.0.bias": bias.astype(np.float32),
    }


class _Graph:
    """OpenVINO's operations with the artifact's tensors put in."""

    def __init__(self, ops: Any, state: Mapping[str, Array]) -> None:
        self.ops = ops
        self._state = state

    def convolution(self, maps: Any, name: str, stride: int = 1, padding: int = 0) -> Any:
        """A convolution with its bias and ReLU; every one of SqueezeNet's has a ReLU behind it."""
        pads = [padding, padding]
        product = self.ops.convolution(
            maps, self._state[f"{name}.weight"], [stride, stride], pads, pads, [1, 1]
        )
        bias = self._state[f"{name}.bias"].reshape(1, -1, 1, 1)
        return self.ops.relu(self.ops.add(product, bias))

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
