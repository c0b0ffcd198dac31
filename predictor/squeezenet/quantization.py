"""``int8.safetensors``: the network in 8-bit integers, beside the weights that it was made from.

Tensors, for each convolution by torchvision's name, such as ``features.3.squeeze``:

=============  ======================  ================================================================
``NAME.weight``  int8 [O, I, h, w]     within 7 bits; times ``scale`` it is the f32 weight, rounded
``NAME.scale``   float32 [O]           one for each output channel, above zero
``NAME.bias``    float32 [O]           with the correction of what rounding shifts on average
``NAME.limit``   float32 []            what lies behind the ReLU is rounded to 256 steps of 0..limit
=============  ======================  ================================================================

``classifier.1`` has no limit: its maps stay float, so that logits have no steps. The first convolution takes
pixels, which are 8-bit values already, so its input loses nothing. ``pixels`` and ``logits`` are the golden
picture and the int8 network's own golden logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from squeezenet import golden
from squeezenet.architecture import convolutions, tensor_shapes
from squeezenet.config import ArtifactConfig, Quantization
from squeezenet.engines import numpy_reference
from squeezenet.errors import WeightsError
from squeezenet.golden import Golden
from squeezenet.preprocess import fold_normalisation

MAX_TOP1_LOSS = 0.005
"""int8 answers only where its top-1 on a test split is at most this share below that of f32."""
MAX_WEIGHT = 64
"""A CPU without VNNI adds two products of 8 bits in 16: beyond 7 bits of weight it saturates."""
MAX_BYTES = 64 * 1024 * 1024
LAST = "classifier.1"

Array = NDArray[np.float32]
State = Mapping[str, Array]


@dataclass(frozen=True)
class QuantizedConvolution:
    """``weight`` int8 [O, I, h, w], ``scale`` and ``bias`` float32 [O], ``limit`` float32 [] or None."""

    weight: NDArray[np.int8]
    scale: Array
    bias: Array
    limit: Array | None

    def dequantized(self) -> NDArray[np.float64]:
        """The weights as float64 [O, I, h, w]: exactly the product of two float32."""
        return self.weight.astype(np.float64) * self.scale[:, None, None, None]


@dataclass(frozen=True)
class Quantized:
    """The int8 network: its convolutions by name, and what they must answer to the golden picture."""

    convolutions: Mapping[str, QuantizedConvolution]
    golden: Golden


def make(config: ArtifactConfig, found: Mapping[str, QuantizedConvolution]) -> Quantized:
    """The convolutions with their golden logits, which the NumPy reference computes."""
    pixels = golden.picture(config.input.crop)[None]
    return Quantized(
        found, Golden(pixels, numpy_reference.quantized_logits(config, reference_state(found), pixels))
    )


def reference_state(found: Mapping[str, QuantizedConvolution]) -> dict[str, NDArray[Any]]:
    """What the NumPy reference computes with: dequantized weights, biases and limits."""
    state: dict[str, NDArray[Any]] = {}
    for name, layer in found.items():
        state |= {f"{name}.weight": layer.dequantized(), f"{name}.bias": layer.bias}
        if layer.limit is not None:
            state[f"{name}.limit"] = layer.limit
    return state


def refusal(record: Quantization | None) -> str | None:
    """Why int8 must not answer for an artifact with this record; None where it may."""
    if record is None:
        return "the artifact has no int8 weights: make them with `squeezenet quantize`"
    if record.top1_loss > MAX_TOP1_LOSS:
        return (
            f"its top-1 on {record.test_pictures} test pictures is {record.top1_int8:.4f}, more than "
            f"{MAX_TOP1_LOSS} below the {record.top1_f32:.4f} of f32"
        )
    return None


def to_bytes(quantized: Quantized) -> bytes:
    """The content of ``int8.safetensors``."""
    tensors: dict[str, NDArray[Any]] = {
        "pixels": quantized.golden.pixels,
        "logits": quantized.golden.logits,
    }
    for name, layer in quantized.convolutions.items():
        tensors |= {f"{name}.weight": layer.weight, f"{name}.scale": layer.scale, f"{name}.bias": layer.bias}
        if layer.limit is not None:
            tensors[f"{name}.limit"] = layer.limit
    return save_tensors(tensors)


def from_bytes(data: bytes, config: ArtifactConfig, state: State) -> Quantized:
    """Reads ``int8.safetensors``. Raises WeightsError where it is damaged or not of these weights.

    That the int8 weights are the f32 ones, rounded, also ties them to the digest that was checked.
    """
    try:
        tensors = load_tensors(data)
    except SafetensorError as error:
        raise WeightsError(f"int8.safetensors is damaged ({error}): quantize the model again.") from error
    expected = _shapes(config)
    if tensors.keys() != expected.keys() | {"pixels", "logits"}:
        odd = sorted(tensors.keys() ^ (expected.keys() | {"pixels", "logits"}))
        raise _unfit(f"{odd[0][:80]!r} is missing or too much")
    for name, shape in expected.items():
        _check(name, tensors[name], "int8" if name.endswith(".weight") else "float32", shape)
    layers = {name: _convolution(tensors, name) for name in convolutions(config.architecture)}
    folded = fold_normalisation(state, config.input)
    for name, layer in layers.items():
        _check_values(name, layer, folded[f"{name}.weight"])
    return Quantized(layers, _golden(tensors, config))


def _convolution(tensors: Mapping[str, NDArray[Any]], name: str) -> QuantizedConvolution:
    weight, scale, bias = (tensors[f"{name}.{part}"] for part in ("weight", "scale", "bias"))
    return QuantizedConvolution(weight, scale, bias, tensors.get(f"{name}.limit"))


def _shapes(config: ArtifactConfig) -> dict[str, tuple[int, ...]]:
    shapes = tensor_shapes(config.architecture, config.num_classes)
    for name in convolutions(config.architecture):
        shapes[f"{name}.scale"] = shapes[f"{name}.bias"]
        if name != LAST:
            shapes[f"{name}.limit"] = ()
    return shapes


def _golden(tensors: Mapping[str, NDArray[Any]], config: ArtifactConfig) -> Golden:
    pixels, logits = tensors["pixels"], tensors["logits"]
    crop = config.input.crop
    _check("pixels", pixels, "uint8", (len(pixels) if pixels.ndim else 0, crop, crop, 3))
    _check("logits", logits, "float32", (len(pixels), config.num_classes))
    return Golden(pixels, logits)


def _check(name: str, array: NDArray[Any], dtype: str, shape: tuple[int, ...]) -> None:
    if array.dtype.name != dtype or array.shape != shape:
        raise _unfit(f"{name} is {array.dtype.name} {list(array.shape)}, not {dtype} {list(shape)}")


def _check_values(name: str, layer: QuantizedConvolution, weight: Array) -> None:
    floats = [layer.scale, layer.bias, *([] if layer.limit is None else [layer.limit])]
    if not all(np.isfinite(array).all() for array in floats):
        raise _unfit(f"{name} holds NaN or infinity")
    if layer.scale.min() <= 0 or (layer.limit is not None and layer.limit <= 0):
        raise _unfit(f"a scale or limit of {name} is not above zero")
    if np.abs(layer.weight.astype(np.int16)).max() > MAX_WEIGHT:
        raise _unfit(f"the weights of {name} do not keep to 7 bits")
    if (np.abs(layer.dequantized() - weight) > layer.scale[:, None, None, None]).any():
        raise _unfit(f"the weights of {name} are not those of the weights file, rounded")


def _unfit(what: str) -> WeightsError:
    return WeightsError(f"int8.safetensors belongs to another artifact ({what}): quantize the model again.")
