"""SqueezeNet in NumPy alone: slow, plain, and what other engines must agree with when they are loaded.

A picture takes some 0.1 s, so it makes golden logits and answers nobody. It shares no code with the
libraries of the other engines, except that NumPy's matrix product is a BLAS.

Source: torchvision's ``models/squeezenet.py``, to which the tests hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from squeezenet.architecture import fire_channels
from squeezenet.config import ArtifactConfig
from squeezenet.preprocess import normalise

Array = NDArray[np.float32]


def logits(config: ArtifactConfig, state: Mapping[str, Array], pixels: NDArray[np.uint8]) -> Array:
    """Logits float32 [N, classes] of RGB squares uint8 [N, crop, crop, 3]."""
    batch = normalise(pixels, config.input)
    return np.stack([_forward(picture, state, config.architecture) for picture in batch])


def _forward(picture: Array, state: Mapping[str, Array], architecture: str) -> Array:
    fires = fire_channels(architecture)
    maps = _relu(_convolution(picture, state, "features.0", stride=2))
    # The positions in `features` that hold no fire module hold a pooling.
    for position in range(2, max(fires) + 1):
        maps = _fire(maps, state, f"features.{position}") if position in fires else _max_pool(maps)
    scores = _relu(_convolution(maps, state, "classifier.1"))
    return np.asarray(scores.mean(axis=(1, 2), dtype=np.float32))


def _fire(maps: Array, state: Mapping[str, Array], name: str) -> Array:
    squeezed = _relu(_convolution(maps, state, f"{name}.squeeze"))
    narrow = _convolution(squeezed, state, f"{name}.expand1x1")
    padded = np.pad(squeezed, ((0, 0), (1, 1), (1, 1)))
    return _relu(np.concatenate([narrow, _convolution(padded, state, f"{name}.expand3x3")]))


def _convolution(maps: Array, state: Mapping[str, Array], name: str, stride: int = 1) -> Array:
    """[C, H, W] to [O, H', W'], without padding, as one matrix product."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    outputs, channels, kernel, _ = weight.shape
    windows = sliding_window_view(maps, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    height, width = windows.shape[1:3]
    columns = windows.transpose(0, 3, 4, 1, 2).reshape(channels * kernel * kernel, height * width)
    product = weight.reshape(outputs, -1) @ columns + bias[:, None]
    return product.reshape(outputs, height, width)


def _max_pool(maps: Array) -> Array:
    """3x3, stride 2, with a last window that may reach beyond the edge (PyTorch's ceil_mode)."""
    rows, columns = ((size - 3 + 1) // 2 + 1 for size in maps.shape[1:])
    beyond = [(size - 3) % 2 for size in maps.shape[1:]]
    padded = np.pad(maps, ((0, 0), (0, beyond[0]), (0, beyond[1])), constant_values=-np.inf)
    # NumPy's maximum over windows takes longer than all the convolutions.
    places = (
        padded[:, y : y + 2 * rows - 1 : 2, x : x + 2 * columns - 1 : 2] for y in range(3) for x in range(3)
    )
    return reduce(np.maximum, places)


def _relu(maps: Array) -> Array:
    return np.maximum(maps, np.float32(0))
