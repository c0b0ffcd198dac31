"""Engines: what computes logits from a batch of input tensors.

``Engine`` is the interface every engine has; ``TorchEngine`` is the reference that others are checked
against. PyTorch is imported only when a TorchEngine is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from squeezenet.artifact import Artifact
from squeezenet.errors import DeviceError

if TYPE_CHECKING:
    import torch

Device = Literal["cpu", "cuda"]


@runtime_checkable
class Engine(Protocol):
    """A loaded network. ``infer`` may be called from any thread, by one thread at a time."""

    @property
    def name(self) -> str:
        """The engine's name in metrics and metadata, such as ``torch``."""

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``: where it really runs."""

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits [N, classes] of a batch [N, 3, H, W], N >= 1."""


def build_network(artifact: Artifact) -> torch.nn.Module:
    """SqueezeNet with the artifact's weights, in evaluation mode, on the CPU."""
    import torch

    from squeezenet.module import SqueezeNet

    network = SqueezeNet(artifact.config.architecture, artifact.config.num_classes)
    network.load_state_dict({name: torch.tensor(array) for name, array in artifact.state.items()})
    return network.eval()


class TorchEngine:
    """SqueezeNet in PyTorch, float32 throughout (TF32 switched off), channels last.

    ``threads`` sets PyTorch's CPU threads, which is a setting of the whole process; None leaves it alone.
    Raises DeviceError where ``cuda`` is asked for and there is none.
    """

    def __init__(self, artifact: Artifact, device: Device = "cpu", threads: int | None = None) -> None:
        import torch

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
        network = build_network(artifact).to(device)
        # Measured 1.5 times as fast as the default layout on a CPU core.
        self._network = network.to(memory_format=torch.channels_last)

    @property
    def name(self) -> str:
        return "torch"

    @property
    def device(self) -> str:
        return self._device

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits [N, classes], float32, of a batch [N, 3, H, W], float32."""
        torch = self._torch
        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32)).to(self._device)
            logits = self._network(tensor.contiguous(memory_format=torch.channels_last))
            result: NDArray[np.float32] = logits.cpu().numpy()
        return result
