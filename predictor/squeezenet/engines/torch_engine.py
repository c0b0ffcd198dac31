"""SqueezeNet in PyTorch: the reference engine, and the one for GPUs. Imports PyTorch when it is made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from squeezenet import golden
from squeezenet.artifact import Artifact
from squeezenet.engines.base import Device, Precision
from squeezenet.errors import DeviceError, EngineError
from squeezenet.preprocess import normalise

if TYPE_CHECKING:
    import torch

# Bounds the activations of one pass: squeezenet1_0 needs about 20 MB a picture.
PASS = 64
GRAPHS = (1, 2, 4, 8, 16, 32, PASS)
"""At most half of what a graph computes is for nothing."""


def build_network(artifact: Artifact) -> torch.nn.Module:
    """SqueezeNet with the artifact's weights, in evaluation mode, on the CPU."""
    import torch

    from squeezenet.engines.torch_module import SqueezeNet

    network = SqueezeNet(artifact.config.architecture, artifact.config.num_classes)
    network.load_state_dict({name: torch.tensor(array) for name, array in artifact.state.items()})
    return network.eval()


class TorchEngine:
    """SqueezeNet in PyTorch, channels last: float32 (TF32 switched off), or bfloat16 on a GPU.

    ``threads`` sets PyTorch's CPU threads, which is a setting of the whole process; None leaves it alone.
    ``graphs`` makes a GPU compute in CUDA graphs.
    Raises DeviceError where ``cuda`` is asked for and there is none, EngineError for another precision, and
    where there can be no graphs or they compute something else.
    """

    def __init__(
        self,
        artifact: Artifact,
        device: Device = "cpu",
        threads: int | None = None,
        precision: Precision = "f32",
        graphs: bool = False,
    ) -> None:
        import torch

        if precision != "f32" and (device, precision) != ("cuda", "bf16"):
            raise EngineError(f"{precision} is not used: torch computes f32, and bf16 on a GPU")

        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError(
                "no CUDA device is visible here: give the pod a GPU (spec.accelerator.gpus: 1), "
                "or use the CPU."
            )
        if threads is not None:
            torch.set_num_threads(max(1, threads))
        if device == "cuda":
            # By default a GPU's convolutions keep 10 bits of mantissa; answers must not depend on the device.
            torch.backends.cudnn.allow_tf32 = False
        self._torch = torch
        self._device = device
        self._input = artifact.config.input
        # One pass at a time, with all threads: two at once would fight for the same cores.
        self._busy = threading.Lock()
        self._precision: Precision = precision
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        network = build_network(artifact).to(device, self._dtype)
        # Measured 1.5 times as fast as the default layout on a CPU core.
        network = network.to(memory_format=torch.channels_last)
        self._network = self._graphed(network) if graphs else network

    def _graphed(self, network: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        from squeezenet.engines.cuda_graphs import GraphedNetwork

        try:
            return GraphedNetwork(network, GRAPHS, self._input.crop, golden.TOLERANCE[self._precision])
        except RuntimeError as error:
            raise EngineError(f"torch cannot record CUDA graphs in {self._precision}: {error}") from error

    @property
    def name(self) -> str:
        return "torch"

    @property
    def device(self) -> str:
        return self._device

    @property
    def precision(self) -> Precision:
        return self._precision

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        return (1, 4) if self._device == "cpu" else (1, 4, 16, PASS)

    def classify_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits [N, classes], float32, of RGB squares uint8 [N, crop, crop, 3]."""
        return self.classify_tensors(normalise(pixels, self._input))

    def classify_tensors(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits [N, classes], float32, of normalised inputs float32 [N, 3, crop, crop]."""
        with self._busy:
            return np.concatenate(
                [self._infer(batch[start : start + PASS]) for start in range(0, len(batch), PASS)]
            )

    def _infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        torch = self._torch
        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32)).to(
                self._device, self._dtype
            )
            logits = self._network(tensor.contiguous(memory_format=torch.channels_last))
            result: NDArray[np.float32] = logits.float().cpu().numpy()
        return result
