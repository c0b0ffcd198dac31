"""SqueezeNet for MNN, converted from the ONNX network: another engine of the limit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from squeezenet.artifact import Artifact

from bench.onnx_network import onnx_model


def mnn_module(artifact: Artifact) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Pixels uint8 [1, crop, crop, 3] to logits [1, classes], float32, on one thread."""
    # Imported here, because MNN writes to standard output when it is.
    import MNN
    from MNN import expr

    settings = {"backend": "CPU", "precision": "high", "numThread": 1}
    runtime = MNN.nn.create_runtime_manager((settings,))
    with tempfile.TemporaryDirectory() as folder:
        file = _converted(onnx_model(artifact), Path(folder))
        module = MNN.nn.load_module_from_file(str(file), ["pixels"], ["logits"], runtime_manager=runtime)

    def infer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
        logits = module.onForward([expr.const(planes, list(planes.shape), expr.NCHW)])[0]
        # MNN uses the memory again for the next picture.
        return np.array(logits.read(), dtype=np.float32)

    return infer


def _converted(onnx: bytes, folder: Path) -> Path:
    """The model in MNN's format. Raises ValueError where its converter fails."""
    # The converter itself: the command `mnnconvert` around it would report its use over the network.
    import _tools

    source, target = folder / "network.onnx", folder / "network.mnn"
    source.write_bytes(onnx)
    files = ["--modelFile", str(source), "--MNNModel", str(target)]
    if not _tools.mnnconvert(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "squeezenet"]):
        raise ValueError("MNN cannot convert the network")
    return target
