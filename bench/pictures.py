"""The pictures that every contestant classifies: real ones, as JPEG of three sizes, and one digit."""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.resources import files

from PIL import Image, ImageOps

QUALITY = 90


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


def _jpeg(name: str, size: tuple[int, int] | None) -> bytes:
    image = Image.open(io.BytesIO(files("skimage").joinpath("data", name).read_bytes())).convert("RGB")
    if size:
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
