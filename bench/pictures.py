"""The pictures that every contestant classifies: real ones, as JPEG of three sizes, and one digit."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

import numpy as np
from PIL import Image, ImageOps
from squeezenet.image_folder import LabelledPicture

QUALITY = 90
LABELLED = {
    "camera.png": 872,
    "chelsea.png": 285,
    "coffee.png": 967,
    "hubble_deep_field.jpg": 971,
    "rocket.jpg": 733,
}
"""scikit-image's pictures whose ImageNet class is beyond doubt."""


@dataclass(frozen=True)
class Picture:
    """An encoded picture and the class that every contestant has to answer."""

    name: str
    data: bytes
    class_id: int
    media_type: str = "image/jpeg"


def load() -> list[Picture]:
    """600x400 (coffee), 451x300 (a cat) and 1920x1080 (a rocket, enlarged), from scikit-image's wheel."""
    return [
        Picture("600x400", _jpeg("coffee.png", None), 967),
        Picture("451x300", _jpeg("chelsea.png", None), 285),
        Picture("1920x1080", _jpeg("rocket.jpg", (1920, 1080)), 733),
    ]


def digit() -> Picture:
    """A handwritten seven for the built-in network: the least work that a request can be."""
    sample = files("squeezenet").joinpath("builtin", "digits", "samples", "7.png")
    return Picture("digit", sample.read_bytes(), 7, "image/png")


def crops(count: int, seed: int) -> list[LabelledPicture]:
    """``count`` random crops of each labelled picture, with 60 to 100 % of its sides, as PNG.

    They are variations of five pictures: enough to see what a precision changes, no measure of a network.
    """
    random = np.random.default_rng(seed)
    found = []
    for name, class_id in LABELLED.items():
        image = Image.open(io.BytesIO((files("skimage") / "data" / name).read_bytes())).convert("RGB")
        for number in range(count):
            share, across, down = random.uniform((0.6, 0.0, 0.0), 1.0)
            width, height = (round(side * share) for side in image.size)
            left, top = round((image.width - width) * across), round((image.height - height) * down)
            part = image.crop((left, top, left + width, top + height))
            found.append(LabelledPicture(f"{name} crop {number}", class_id, partial(_png, part)))
    return found


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _jpeg(name: str, size: tuple[int, int] | None) -> bytes:
    image = Image.open(io.BytesIO(files("skimage").joinpath("data", name).read_bytes())).convert("RGB")
    if size:
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
