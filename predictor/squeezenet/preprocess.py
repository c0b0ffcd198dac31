"""Picture bytes -> the network's input tensor. Part of the contract: the same bytes give the same answer.

=====================  ====================================================================================
Formats                JPEG (baseline, progressive, MPO), PNG, WebP, GIF, BMP, TIFF; by content, not by name
Animated, multi-page   the first frame
Orientation            EXIF orientation applied; a damaged EXIF block is ignored
Greyscale, 1-bit       the same value in all three channels
16-bit grey            scaled to 8 bits (65535 -> 255), never clipped; 16-bit RGB keeps its upper 8 bits
CMYK, YCCK             converted without a profile; inverted when, and only when, the Adobe marker says so
RGB JPEG               as the Adobe marker or the component ids say
Transparency           composited on white before resizing, for every mode (RGBA, LA, palette, 1-bit, key)
ICC profile            ignored, as ImageNet's training pipelines do; so a broken profile fails no request
Truncated or damaged   refused, ``PictureInvalid``
Float, 32-bit, Lab     refused, ``PictureUnsupported``
Other formats          refused, ``PictureUnsupported``, naming what the bytes look like
Size                   ``Limits``: bytes, and pixels by the header, before anything is decoded
=====================  ====================================================================================

Resizing is torchvision's ``Resize(resize, antialias=True)`` + ``CenterCrop(crop)``: bilinear, short side to
``resize``. Here only the crop's own box is resized, so that a 1 x 65000 picture costs no more than any
other. Values are then scaled to 0..1 and normalised by ``mean`` and ``std`` a channel.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from squeezenet.config import InputSpec
from squeezenet.pictures import DEFAULT_LIMITS, FORMATS, Limits, decode

__all__ = [
    "DEFAULT_LIMITS",
    "FORMATS",
    "Limits",
    "crop_box",
    "decode",
    "fold_normalisation",
    "normalise",
    "preprocess",
    "to_pixels",
    "to_tensor",
]


def crop_box(width: int, height: int, spec: InputSpec) -> tuple[float, float, float, float]:
    """The part (left, top, right, bottom) of the source, in its pixels, that becomes the input square.

    The arithmetic, rounding included, is torchvision's ``Resize`` and ``CenterCrop``.
    """
    short, long = min(width, height), max(width, height)
    resized_long = int(spec.resize * long / short)
    new_width, new_height = (spec.resize, resized_long) if width <= height else (resized_long, spec.resize)
    left = round((new_width - spec.crop) / 2.0)
    top = round((new_height - spec.crop) / 2.0)
    across, down = width / new_width, height / new_height
    return (
        left * across,
        top * down,
        min((left + spec.crop) * across, width),
        min((top + spec.crop) * down, height),
    )


def to_pixels(image: Image.Image, spec: InputSpec) -> NDArray[np.uint8]:
    """The resized centre square of an RGB picture, uint8 [crop, crop, 3]."""
    square = image.resize((spec.crop, spec.crop), Image.Resampling.BILINEAR, crop_box(*image.size, spec))
    return np.asarray(square)


def normalisation(spec: InputSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(scale, shift) of each channel: normalised = value * scale + shift, for values of 0..255."""
    mean, std = np.asarray(spec.mean), np.asarray(spec.std)
    return 1.0 / (255.0 * std), -mean / std


def fold_normalisation(
    state: Mapping[str, NDArray[np.float32]], spec: InputSpec
) -> dict[str, NDArray[np.float32]]:
    """The tensors, with a first convolution that takes pixels of 0..255 (computed in float64).

    It has no padding in either architecture, so its bias can hold the whole shift.
    """
    scale, shift = normalisation(spec)
    weight = state["features.0.weight"].astype(np.float64)
    bias = state["features.0.bias"] + np.einsum("ocyx,c->o", weight, shift)
    return {
        **state,
        "features.0.weight": (weight * scale[None, :, None, None]).astype(np.float32),
        "features.0.bias": bias.astype(np.float32),
    }


def normalise(pixels: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
    """uint8 [..., H, W, 3] -> float32 [..., 3, H, W], contiguous: (value / 255 - mean) / std."""
    scale, shift = (part.astype(np.float32) for part in normalisation(spec))
    return np.ascontiguousarray(np.moveaxis(pixels * scale + shift, -1, -3), dtype=np.float32)


def to_tensor(image: Image.Image, spec: InputSpec) -> NDArray[np.float32]:
    """The network's input of an RGB picture, float32 [3, crop, crop]."""
    return normalise(to_pixels(image, spec), spec)


def preprocess(data: bytes, spec: InputSpec, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.float32]:
    """Picture bytes -> the network's input, float32 [3, crop, crop]. Raises PictureError."""
    return to_tensor(decode(data, limits), spec)
