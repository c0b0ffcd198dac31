"""SqueezeNet as ONNX, built from an artifact's tensors, and ONNX Runtime: another engine of the limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from squeezenet.architecture import fire_channels
from squeezenet.artifact import Artifact
from squeezenet.preprocess import fold_normalisation


def onnx_session(artifact: Artifact) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Pixels uint8 [1, crop, crop, 3] to logits [1, classes], on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_model(artifact), options, providers=["CPUExecutionProvider"])

    def infer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
        logits: NDArray[np.float32] = session.run(None, {"pixels": planes})[0]
        return logits

    return infer


def onnx_model(artifact: Artifact) -> bytes:
    """The network as ONNX: pixels of 0..255, float32 [1, 3, crop, crop], to logits [1, classes]."""
    state, nodes = fold_normalisation(artifact.state, artifact.config.input), []

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolution(maps: str, name: str, stride: int = 1, padding: int = 0) -> str:
        inputs = [maps, f"{name}.weight", f"{name}.bias"]
        product = add("Conv", inputs, f"{name}.product", strides=[stride] * 2, pads=[padding] * 4)
        return add("Relu", [product], f"{name}.relu")

    maps = convolution("pixels", "features.0", stride=2)
    fires = fire_channels(artifact.config.architecture)
    for position in range(2, max(fires) + 1):
        name = f"features.{position}"
        if position in fires:
            squeezed = convolution(maps, f"{name}.squeeze")
            narrow = convolution(squeezed, f"{name}.expand1x1")
            wide = convolution(squeezed, f"{name}.expand3x3", padding=1)
            maps = add("Concat", [narrow, wide], name, axis=1)
        else:
            maps = add("MaxPool", [maps], name, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    scores = convolution(maps, "classifier.1")
    add("Flatten", [add("GlobalAveragePool", [scores], "mean")], "logits")
    crop, classes = artifact.config.input.crop, artifact.config.num_classes
    graph = helper.make_graph(
        nodes,
        "squeezenet",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, crop, crop])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, classes])],
        [numpy_helper.from_array(array, name) for name, array in state.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data
