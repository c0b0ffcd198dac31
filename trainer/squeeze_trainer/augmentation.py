"""Random crops, rotations and flips of training pictures, by torchvision's transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from squeezenet.config import InputSpec
from torchvision.transforms import InterpolationMode, v2

from squeeze_trainer.settings import Augmentation


def transforms(wanted: Augmentation, spec: InputSpec) -> Callable[[Image.Image], Image.Image]:
    """RGB picture -> RGB square of ``spec.crop`` pixels; draws from PyTorch's generator.

    The corners that a rotation uncovers get the mean colour, which is zero once it is normalised.
    """
    fill = [round(255 * mean) for mean in spec.mean]
    steps = [
        v2.RandomResizedCrop(spec.crop, scale=wanted.area, ratio=wanted.aspect, antialias=True),
        v2.RandomHorizontalFlip(wanted.flip),
    ]
    if wanted.rotation:
        rotate = v2.RandomRotation(wanted.rotation, interpolation=InterpolationMode.BILINEAR, fill=fill)
        steps.insert(1, rotate)
    return cast("Callable[[Image.Image], Image.Image]", v2.Compose(steps))


def augment(
    change: Callable[[Image.Image], Image.Image], picture: Image.Image, seed: int
) -> NDArray[np.uint8]:
    """uint8 [crop, crop, 3]. The same seed gives the same pixels; the process's own generator is left
    alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return np.asarray(change(picture))
