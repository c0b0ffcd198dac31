"""Picture bytes -> an upright 8-bit RGB picture, or a PictureError that says why not.

The rules for every kind of file stand in the table of :mod:`squeezenet.preprocess`. Pure functions: nothing
is logged or written, and no message repeats what the bytes hold.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from squeezenet import libtiff
from squeezenet.errors import PictureError

# Naming the plug-ins registers them, so that opening a picture never imports the other forty.
_PLUGINS = (
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
    GifImagePlugin,
    BmpImagePlugin,
    TiffImagePlugin,
)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_READABLE = "JPEG, PNG, WebP, GIF, BMP or TIFF"
WHITE = (255, 255, 255)

# Pillow refuses more than twice its warning limit whatever we set; a limit above it could never be reached.
PILLOW_MAX_PIXELS = 178_956_970
# Pillow warns of odd files and logs their content; what a client sends must not write to a server's log.
logging.getLogger("PIL").addHandler(logging.NullHandler())
logging.getLogger("PIL").propagate = False
warnings.filterwarnings("ignore", module=r"PIL\.")
libtiff.silence()

_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_GREY16 = ("I;16", "I;16L", "I;16B", "I;16N")
_PLAIN = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")
_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


@dataclass(frozen=True)
class Limits:
    """The largest picture accepted; both limits are inclusive."""

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 50_000_000

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or not 1 <= self.max_pixels <= PILLOW_MAX_PIXELS:
            raise ValueError(f"max_bytes must be at least 1 and max_pixels within 1..{PILLOW_MAX_PIXELS}")


DEFAULT_LIMITS = Limits()


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """The picture as a person sees it: first frame, upright, RGB, transparent parts white.

    A JPEG is always decoded at full size: libjpeg's reduced sizes moved ImageNet probabilities by up to 0.24.
    Raises PictureError.
    """
    _check_bytes(data, limits)
    image = _open(data)
    _check_pixels(image, limits)
    kind = image.format or "picture"
    try:
        image.load()
        rgb = _to_rgb(image, data)
        turn = _TRANSPOSE.get(_orientation(image))
        return rgb if turn is None else rgb.transpose(turn)
    except PictureError:
        raise
    # Decoders raise a dozen unrelated classes on hostile bytes; a client's file must never be a server error.
    except Exception as error:
        raise PictureError(
            "PictureInvalid",
            f"the {kind} picture cannot be decoded (damaged, truncated or of an unusual kind): "
            "save it again.",
        ) from error


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise PictureError("PictureEmpty", "the picture has no bytes: send the file's content.")
    if len(data) > limits.max_bytes:
        raise PictureError(
            "PictureTooLarge",
            f"the picture has {len(data)} bytes, the limit is {limits.max_bytes}: send a smaller file.",
        )


def _check_pixels(image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise PictureError("PictureInvalid", f"the {image.format} picture has no pixels ({width}x{height}).")
    if width * height > limits.max_pixels:
        raise PictureError(
            "PictureTooManyPixels",
            f"the picture has {width}x{height} = {width * height} pixels, the limit is {limits.max_pixels}: "
            "scale it down.",
        )


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(_without_png_profile(data)), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureError(
            "PictureTooManyPixels", f"the picture has more than {PILLOW_MAX_PIXELS} pixels: scale it down."
        ) from error
    except Exception as error:
        kind = sniff(data)
        if kind in FORMATS:
            raise PictureError(
                "PictureInvalid", f"the {kind} picture cannot be decoded: its header is damaged or truncated."
            ) from error
        raise PictureError(
            "PictureUnsupported", f"the body is {kind or 'no known picture'}: send {_READABLE}."
        ) from error


def sniff(data: bytes) -> str | None:
    """What the first bytes look like: one of FORMATS, a phrase for a known other kind, or None."""
    signatures: tuple[tuple[bytes, str], ...] = (
        (b"\xff\xd8", "JPEG"),
        (b"\x89PNG", "PNG"),
        (b"GIF8", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a zip archive"),
        (b"8BPS", "a Photoshop file"),
        (b"\0\0\x01\0", "an icon"),
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL", "JPEG XL"),
        (b"\0\0\0\x0cjP", "JPEG 2000"),
        (b"/9j/", "base64 text"),
        (b"iVBORw0KGgo", "base64 text"),
        (b"data:image", "a data URL"),
        (b"{", "JSON"),
        (b"<svg", "an SVG drawing"),
        (b"<", "HTML or XML"),
    )
    for signature, kind in signatures:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return "AVIF" if data[8:12] in (b"avif", b"avis") else "HEIC or a video"
    return None


def _without_png_profile(data: bytes) -> bytes:
    """A PNG without its colour profile, which is ignored anyway and which Pillow refuses above 1 MB."""
    signature = b"\x89PNG\r\n\x1a\n"
    if not data.startswith(signature) or b"iCCP" not in data[:4096]:
        return data
    position = len(signature)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"iCCP":
            return data[:position] + data[position + 12 + length :]
        if name == b"IDAT":
            break
        position += 12 + length
    return data


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; 1 where there is none or the EXIF block is damaged."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    # A damaged EXIF block says nothing about the pixels.
    except Exception:
        return 1


def _to_rgb(image: Image.Image, data: bytes) -> Image.Image:
    mode = image.mode
    if mode in _GREY16:
        return _from_grey16(image)
    if mode not in _PLAIN and not image.has_transparency_data:
        raise PictureError(
            "PictureUnsupported",
            f"the {image.format} picture has pixels of kind {mode} (floating point, 32-bit or Lab): "
            "save it with 8 or 16 bits a channel.",
        )
    if mode == "CMYK" and isinstance(image, JpegImagePlugin.JpegImageFile) and "adobe" not in image.info:
        # Pillow takes every CMYK JPEG for Adobe's, which stores the complement.
        return Image.eval(image, lambda value: 255 - value).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image, data)
    return image if mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image, data: bytes) -> Image.Image:
    key = image.info.get("transparency")
    if image.format == "PNG" and key is not None and not isinstance(key, bytes):
        image.info["transparency"] = _eight_bit_key(key, depth=data[24])
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    ground = Image.new("RGB", image.size, WHITE)
    ground.paste(rgba, mask=rgba.getchannel("A"))
    return ground


def _eight_bit_key(key: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    """A PNG's transparent colour is given in the file's own depth, the decoded pixels have 8 bits."""
    if isinstance(key, tuple):
        return tuple(value >> 8 for value in key) if depth == 16 else key
    return key * 255 // (2**depth - 1) if depth in (2, 4) else key


def _from_grey16(image: Image.Image) -> Image.Image:
    """16-bit (or 12-bit TIFF) grey scaled to 8 bits; Pillow's own conversion would clip it to white."""
    values = np.asarray(image).astype(np.uint32)
    top = 65535
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_TIFF_BITS, (16,))[0]
        top = 2**bits - 1
        if image.tag_v2.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
            values = top - np.minimum(values, top)
    grey = ((np.minimum(values, top) * 255 + top // 2) // top).astype(np.uint8)
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey[values == key] = 255
    return Image.fromarray(grey).convert("RGB")
