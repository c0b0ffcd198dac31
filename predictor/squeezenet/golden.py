"""Golden pictures and logits: how an engine proves, when it is loaded, that it computes this network.

The logits come from the NumPy reference, which shares no code with any engine, when an artifact is saved,
or at load where the artifact has none. Neither needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from squeezenet.config import ArtifactConfig
from squeezenet.engines import numpy_reference
from squeezenet.errors import EngineError, WeightsError

if TYPE_CHECKING:
    from squeezenet.engines.base import Engine, Precision

TOLERANCE: Mapping[Precision, float] = {"f32": 1e-3, "bf16": 3e-2, "int8": 5e-3}
"""Largest difference of a logit, relative to the largest logit (or to 1 where all are smaller).

bf16 keeps 8 bits of each value: 0.018 off on the digits, 0.013 on ImageNet weights. int8 is held to the
NumPy reference's own int8 logits: 1e-7 off on both, or a few steps more where a sum lies on the edge of one.
"""
MAX_BYTES = 64 * 1024 * 1024
_SEED = 227


@dataclass(frozen=True)
class Golden:
    """Pictures uint8 [N, crop, crop, 3] and the logits float32 [N, classes] that they must give."""

    pixels: NDArray[np.uint8]
    logits: NDArray[np.float32]


def make(config: ArtifactConfig, state: Mapping[str, NDArray[np.float32]]) -> Golden:
    """One picture, the same for every artifact of this crop, and its logits."""
    pixels = picture(config.input.crop)[None]
    return Golden(pixels, numpy_reference.logits(config, state, pixels))


def picture(crop: int) -> NDArray[np.uint8]:
    """An RGB square [crop, crop, 3] with detail at several scales, as photographs have."""
    random = np.random.default_rng(_SEED)
    layers = []
    for cells, share in ((3, 0.6), (12, 0.3), (crop, 0.1)):
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), np.uint8))
        layers.append(share * np.asarray(coarse.resize((crop, crop), Image.Resampling.BICUBIC), np.float64))
    return np.asarray(np.rint(sum(layers)), np.uint8)


def to_bytes(golden: Golden) -> bytes:
    """The content of ``golden.safetensors``."""
    return save_tensors({"pixels": golden.pixels, "logits": golden.logits})


def from_bytes(data: bytes, config: ArtifactConfig) -> Golden:
    """Reads ``golden.safetensors``. Raises WeightsError where it does not fit the configuration."""
    try:
        tensors = load_tensors(data)
        golden = Golden(tensors["pixels"], tensors["logits"])
    # A ValueError where a shape is more than an array can have.
    except (SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"golden.safetensors is damaged ({error}): save the artifact again.") from error
    count, crop = golden.logits.shape[0] if golden.logits.ndim else 0, config.input.crop
    _check(golden.pixels, "uint8", (count, crop, crop, 3))
    _check(golden.logits, "float32", (count, config.num_classes))
    # Nothing differs from no logits, and no comparison with NaN is ever true.
    if count == 0 or not np.isfinite(golden.logits).all():
        raise WeightsError("golden.safetensors proves nothing: save the artifact again.")
    return golden


def _check(array: NDArray[Any], dtype: str, shape: tuple[int, ...]) -> None:
    if array.dtype.name != dtype or array.shape != shape:
        raise WeightsError("golden.safetensors belongs to another artifact: save this one again.")


def prove(engine: Engine, golden: Golden) -> float:
    """The largest difference, relative to the largest logit.

    Raises EngineError beyond the precision's tolerance, or where another class is the best.
    """
    found = engine.classify_pixels(golden.pixels)
    who = f"{engine.name} on {engine.device} in {engine.precision}"
    if found.shape != golden.logits.shape or not np.isfinite(found).all():
        raise EngineError(f"{who} gives logits that are not finite or not of the right shape")
    scale = max(1.0, float(np.abs(golden.logits).max()))
    difference = float(np.abs(found - golden.logits).max()) / scale
    tolerance = TOLERANCE[engine.precision]
    if difference > tolerance:
        raise EngineError(
            f"{who} differs from the golden logits by {difference:.2g} of the largest, above {tolerance:g}"
        )
    # In f32 a tie may fall either way within the tolerance; what a lower precision changes must not show.
    if engine.precision != "f32" and (found.argmax(axis=1) != golden.logits.argmax(axis=1)).any():
        raise EngineError(f"{who} finds another best class than the golden logits")
    return difference
