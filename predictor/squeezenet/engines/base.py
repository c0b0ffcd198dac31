"""What every engine offers, and what it does where it cannot be used."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Device = Literal["cpu", "cuda"]
Precision = Literal["f32", "bf16", "int8"]


@runtime_checkable
class Engine(Protocol):
    """A loaded network. Its methods may be called from any thread, by several at a time.

    ``classify_pixels`` takes pictures as decoded and cropped, ``classify_tensors`` what a client has
    normalised itself; the same picture gives the same logits either way.
    """

    @property
    def name(self) -> str:
        """The engine's name in settings, metrics and metadata, such as ``openvino``."""

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``: where it really runs."""

    @property
    def precision(self) -> Precision:
        """In which numbers the convolutions are computed."""

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """How many pictures it may pay to compute together, smallest first; which one does is measured."""

    def classify_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits [N, classes] of RGB squares uint8 [N, crop, crop, 3], N >= 1."""

    def classify_tensors(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits [N, classes] of normalised inputs float32 [N, 3, crop, crop], N >= 1."""
