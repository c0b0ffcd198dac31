"""Pictures of every format, decoded and preprocessed: only a PictureError may come out."""

from __future__ import annotations

import contextlib
import io
import random

import numpy as np
from fuzz import mutations
from fuzz.mutations import Mutate
from fuzz.target import Target
from PIL import Image
from squeezenet.config import InputSpec
from squeezenet.errors import PictureError
from squeezenet.pictures import Limits, decode
from squeezenet.preprocess import normalise, to_pixels

SPEC = InputSpec(40, 32)
LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000)
REASONS = {"PictureEmpty", "PictureTooLarge", "PictureTooManyPixels", "PictureUnsupported", "PictureInvalid"}
STRUCTURES: tuple[tuple[bytes, Mutate], ...] = (
    (b"\x89PNG", mutations.png),
    (b"\xff\xd8", mutations.jpeg),
    (b"II*\0", mutations.tiff),
    (b"MM\0*", mutations.tiff),
    (b"RIFF", mutations.riff),
)


def run(data: bytes) -> None:
    """Raises where the contract of `decode` is broken."""
    try:
        image = decode(data, LIMITS)
    except PictureError as error:
        _check_refusal(error)
        return
    assert image.mode == "RGB"
    assert image.width * image.height <= LIMITS.max_pixels
    tensor = normalise(to_pixels(image, SPEC), SPEC)
    assert tensor.shape == (3, SPEC.crop, SPEC.crop)
    assert np.isfinite(tensor).all()


def _check_refusal(error: PictureError) -> None:
    assert error.reason in REASONS, error.reason
    assert len(error.message) < 300


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Within the format's structure, mostly."""
    if rng.random() < 0.8:
        for signature, structured in STRUCTURES:
            if data.startswith(signature):
                return structured(data, rng)
    return mutations.bytewise(data, rng)


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def seeds() -> list[bytes]:
    """Small pictures of every format, mode and kind of storage."""
    values = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    rgb = Image.fromarray(values).resize((24, 17))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = [
        _encoded(rgb, "JPEG", exif=exif),
        _encoded(rgb, "JPEG", progressive=True, subsampling=0),
        _encoded(rgb.convert("CMYK"), "JPEG"),
        _encoded(rgb.convert("L"), "JPEG"),
        _encoded(rgb, "MPO", save_all=True, append_images=[rgb]),
        _encoded(rgb, "WEBP", lossless=True, exif=exif),
        _encoded(rgb.convert("RGBA"), "WEBP", save_all=True, append_images=[rgb]),
        _encoded(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90)]),
        _encoded(rgb.convert("P"), "GIF", transparency=3, interlace=True),
    ]
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        wanted = (
            Image.fromarray(values[..., 0].astype(np.uint16) * 257) if mode == "I;16" else rgb.convert(mode)
        )
        made.append(_encoded(wanted, "PNG", icc_profile=b"x" * 40))
    made.append(_encoded(rgb.convert("P"), "PNG", transparency=2))
    for mode in ("1", "L", "P", "RGB"):
        made.append(_encoded(rgb.convert(mode), "BMP"))
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        made.append(_encoded(rgb, "TIFF", compression=compression))
    for mode in ("1", "L", "RGBA", "CMYK", "F", "I;16"):
        made.append(
            _encoded(rgb.convert("L").convert(mode) if mode in "FI;16" else rgb.convert(mode), "TIFF")
        )
    made.append(_encoded(rgb.convert("1"), "TIFF", compression="group4"))
    made.append(_encoded(rgb, "TIFF", big_tiff=True))
    with contextlib.suppress(OSError):
        made.append(_encoded(rgb, "AVIF"))
    return made


TARGET = Target("pictures", seeds, run, mutate)
