"""scikit-image's real pictures, and the ImageNet weights that lie beside the repository."""

from __future__ import annotations

import io
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

WEIGHTS = "squeezenet1_0-imagenet1k-fp16.safetensors"
NAMES = ("chelsea.png", "coffee.png", "camera.png", "hubble_deep_field.jpg", "rocket.jpg")


def picture_bytes(name: str) -> bytes:
    return (files("skimage") / "data" / name).read_bytes()


def picture(name: str) -> Image.Image:
    return Image.open(io.BytesIO(picture_bytes(name)))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def weights_path() -> Path:
    beside = Path(__file__).resolve().parents[4] / "shared" / "weights"
    return Path(os.environ.get("SQUEEZESERVE_WEIGHTS_DIR", beside)) / WEIGHTS


needs_weights = pytest.mark.skipif(
    not weights_path().is_file(),
    reason=f"ImageNet weights absent: put {WEIGHTS} into SQUEEZESERVE_WEIGHTS_DIR",
)
