"""The pictures that every contestant classifies: real ones, as JPEG of three sizes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.resources import files

from PIL import Image, ImageOps

QUALITY = 90


@dataclass(frozen=True)
class Picture:
    """A JPEG and the ImageNet class that every contestant has to answer."""

    name: str
    jpeg: bytes
    class_id: int


def load() -> list[Picture]:
    """600x400 (coffee), 451x300 (a cat) and 1920x1080 (a rocket, enlarged), from scikit-image's wheel."""
    return [
        Picture("600x400", _jpeg("coffee.png", None), 967),
        Picture("451x300", _jpeg("chelsea.png", None), 285),
        Picture("1920x1080", _jpeg("rocket.jpg", (1920, 1080)), 733),
    ]


def _jpeg(name: str, size: tuple[int, int] | None) -> bytes:
    image = Image.open(io.BytesIO(files("skimage").joinpath("data", name).read_bytes())).convert("RGB")
    if size:
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
