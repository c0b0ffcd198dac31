"""SqueezeNet in NumPy alone: slow, plain, and what other engines must agree with when they are loaded.

A picture takes some 0.1 s, so it makes golden logits and answers nobody. It shares no code with the
libraries of the other engines, except that NumPy's matrix product is a BLAS.

Source: torchvision's ``models/squeezenet.py``, to which the tests hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from squeezenet.architecture import fire_channels
from squeezenet.config import ArtifactConfig
from squeezenet.preprocess import normalise

Array = NDArray[np.float32]
Maps = NDArray[np.floating[Any]]

STEPS = 255
"""Steps of an 8-bit value between 0 and its limit."""


def logits(config: ArtifactConfig, state: Mapping[str, Array], pixels: NDArray[np.uint8]) -> Array:
    """Logits float32 [N, classes] of RGB squares uint8 [N, crop, crop, 3]."""
    batch = normalise(pixels, config.input)
    return np.stack([_forward(picture, state, config.architecture) for picture in batch])


def quantized_logits(
    config: ArtifactConfig, state: Mapping[str, NDArray[Any]], pixels: NDArray[np.uint8]
) -> Array:
    """Logits float32 [N, classes] of RGB squares uint8 [N, crop, crop, 3] by an int8 network.

    ``state`` holds the int8 weights times their scales, and takes pixels of 0..255. Behind a convolution
    with a ``limit`` the values are rounded to the 256 steps of 0..limit. All of it in float64: an engine
    adds whole numbers exactly, and float32 sums would fall on the other side of many a step.
    """
    exact = {name: array.astype(np.float64) for name, array in state.items()}
    batch = np.moveaxis(pixels, -1, 1).astype(np.float64)
    return np.stack([_forward(picture, exact, config.architecture) for picture in batch]).astype(np.float32)


def _forward(picture: Maps, state: Mapping[str, Maps], architecture: str) -> Maps:
    fires = fire_channels(architecture)
    maps = _layer(picture, state, "features.0", stride=2)
    # The positions in `features` that hold no fire module hold a pooling.
    for position in range(2, max(fires) + 1):
        maps = _fire(maps, state, f"features.{position}") if position in fires else _max_pool(maps)
    scores = _layer(maps, state, "classifier.1")
    return np.asarray(scores.mean(axis=(1, 2)))


def _fire(maps: Maps, state: Mapping[str, Maps], name: str) -> Maps:
    squeezed = _layer(maps, state, f"{name}.squeeze")
    narrow = _layer(squeezed, state, f"{name}.expand1x1")
    padded = np.pad(squeezed, ((0, 0), (1, 1), (1, 1)))
    return np.concatenate([narrow, _layer(padded, state, f"{name}.expand3x3")])


def _layer(maps: Maps, state: Mapping[str, Maps], name: str, stride: int = 1) -> Maps:
    """A convolution, its ReLU and, in an int8 network, the rounding behind it."""
    found = np.maximum(_convolution(maps, state, name, stride), 0)
    limit = state.get(f"{name}.limit")
    if limit is None:
        return found
    step = limit / STEPS
    return np.asarray(np.rint(np.minimum(found, limit) / step) * step)


def _convolution(maps: Maps, state: Mapping[str, Maps], name: str, stride: int = 1) -> Maps:
    """[C, H, W] to [O, H', W'], without padding, as one matrix product."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    outputs, channels, kernel, _ = weight.shape
    windows = sliding_window_view(maps, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    height, width = windows.shape[1:3]
    columns = windows.transpose(0, 3, 4, 1, 2).reshape(channels * kernel * kernel, height * width)
    product = weight.reshape(outputs, -1) @ columns + bias[:, None]
    return product.reshape(outputs, height, width)


def _max_pool(maps: Maps) -> Maps:
    """3x3, stride 2, with a last window that may reach beyond the edge (PyTorch's ceil_mode)."""
    rows, columns = ((size - 3 + 1) // 2 + 1 for size in maps.shape[1:])
    beyond = [(size - 3) % 2 for size in maps.shape[1:]]
    padded = np.pad(maps, ((0, 0), (0, beyond[0]), (0, beyond[1])), constant_values=-np.inf)
    # NumPy's maximum over windows takes longer than all the convolutions.
    places = (
        padded[:, y : y + 2 * rows - 1 : 2, x : x + 2 * columns - 1 : 2] for y in range(3) for x in range(3)
    )
    return reduce(np.maximum, places)
