"""Odd pictures: every kind is decoded as documented, or refused with a reason."""

from __future__ import annotations

import base64
import contextlib
import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile
from squeezenet.errors import PictureError
from squeezenet.pictures import PILLOW_MAX_PIXELS, Limits, decode, sniff
from unit.squeezenet.real_pictures import encoded, picture

CAT = picture("chelsea.png").convert("RGB").resize((120, 80))


def pixels(data: bytes) -> NDArray[np.int16]:
    image = decode(data)
    assert image.mode == "RGB"
    return np.asarray(image).astype(np.int16)


def difference(data: bytes, expected: Image.Image) -> float:
    """Mean absolute difference in grey levels; a negative or a swap of channels gives far more than 10."""
    return float(np.abs(pixels(data) - np.asarray(expected.convert("RGB")).astype(np.int16)).mean())


def refusal(data: bytes, limits: Limits | None = None) -> PictureError:
    with pytest.raises(PictureError) as caught:
        decode(data, limits or Limits())
    return caught.value


def without_segment(jpeg: bytes, marker: int) -> bytes:
    """The JPEG without its first segment of that marker."""
    start = jpeg.index(bytes((0xFF, marker)))
    length = struct.unpack_from(">H", jpeg, start + 2)[0]
    return jpeg[:start] + jpeg[start + 2 + length :]


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    """The PNG with one more chunk right after its header."""
    return png[:33] + png_chunk(name, body) + png[33:]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = CAT if orientation == 1 else CAT.transpose(Image.Transpose(inverse[orientation]))
    assert difference(encoded(stored, kind, exif=exif, quality=95), CAT) < 8


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientation_out_of_range_is_ignored(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert difference(encoded(CAT, "JPEG", exif=exif, quality=95), CAT) < 8


def test_damaged_exif_is_ignored() -> None:
    data = encoded(CAT, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x99", quality=95)
    assert difference(data, CAT) < 8


@pytest.mark.parametrize("progressive", [False, True])
def test_greyscale_and_progressive_jpeg(progressive: bool) -> None:
    grey = CAT.convert("L")
    assert difference(encoded(grey, "JPEG", quality=95, progressive=progressive), grey) < 3
    assert difference(encoded(CAT, "JPEG", quality=95, progressive=progressive), CAT) < 8


def test_cmyk_jpeg_with_adobe_marker_is_no_negative() -> None:
    assert difference(encoded(CAT.convert("CMYK"), "JPEG", quality=95), CAT) < 8


def test_cmyk_jpeg_without_adobe_marker_is_no_negative() -> None:
    # Pillow writes Adobe's complement; complementing once more gives the samples of an unmarked file.
    complemented = Image.eval(CAT.convert("CMYK"), lambda value: 255 - value)
    data = without_segment(encoded(complemented, "JPEG", quality=95), 0xEE)
    assert difference(data, CAT) < 8


def test_ycck_jpeg_is_decoded_as_its_marker_says() -> None:
    # YCCK: cyan, magenta and yellow went through the RGB -> YCbCr transform. Pillow writes four channels as
    # they are, complemented, so the transform is done here and the marker's flag (byte 11) set to 2.
    *colours, black = CAT.convert("CMYK").split()
    transformed = Image.merge("RGB", colours).convert("YCbCr").split()
    planes = [Image.eval(plane, lambda value: 255 - value) for plane in transformed]
    data = bytearray(encoded(Image.merge("CMYK", [*planes, black]), "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2
    assert difference(bytes(data), CAT) < 8


@pytest.mark.parametrize("adobe", [True, False])
def test_rgb_jpeg_keeps_its_colours(adobe: bool) -> None:
    data = encoded(CAT, "JPEG", quality=95, keep_rgb=True)
    if not adobe and b"Adobe" in data:
        data = without_segment(data, 0xEE)
    assert difference(data, CAT) < 4


def test_sixteen_bit_grey_is_scaled() -> None:
    grey = picture("camera.png")
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    for kind in ("PNG", "TIFF"):
        assert difference(encoded(wide, kind), grey) == 0
    big_endian = (
        wide.convert("I;16B")
        if wide.mode == "I;16B"
        else Image.frombytes("I;16B", wide.size, np.asarray(wide).astype(">u2").tobytes())
    )
    assert difference(encoded(big_endian, "TIFF"), grey) == 0


def test_sixteen_bit_white_is_zero_tiff_is_not_a_negative() -> None:
    grey = picture("camera.png").resize((64, 64))
    wide = Image.fromarray(65535 - np.asarray(grey).astype(np.uint16) * 257)
    data = encoded(wide, "TIFF", tiffinfo={262: 0})
    assert Image.open(io.BytesIO(data)).tag_v2[262] == 0  # type: ignore[attr-defined]
    assert difference(data, grey) == 0


@pytest.mark.parametrize(("colour", "channels"), [(0, "L"), (2, "RGB"), (4, "LA"), (6, "RGBA")])
def test_sixteen_bits_a_channel_are_scaled_in_every_kind_of_png(colour: int, channels: str) -> None:
    wide = np.asarray(CAT.convert(channels)).astype(">u2") * 257
    height, width = wide.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows))
    assert difference(png + png_chunk(b"IEND", b""), CAT.convert(channels.removesuffix("A"))) == 0


def test_one_bit_and_palette() -> None:
    assert difference(encoded(CAT.convert("1"), "PNG"), CAT.convert("1")) == 0
    palette = CAT.quantize(64)
    for kind in ("PNG", "GIF", "BMP"):
        assert difference(encoded(palette, kind), palette) == 0


def masked(seed: int) -> tuple[Image.Image, Image.Image]:
    """(the cat with a transparent outside over random hidden colours, what is to be seen)."""
    hidden = np.random.default_rng(seed).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    alpha = np.zeros((80, 120), np.uint8)
    alpha[20:60, 30:90] = 255
    inside = alpha[..., None] == 255
    colours = np.where(inside, np.asarray(CAT), hidden)
    seen = np.where(inside, np.asarray(CAT), 255).astype(np.uint8)
    return Image.fromarray(np.dstack([colours, alpha])), Image.fromarray(seen)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_hidden_colours_do_not_show(kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    (first, seen), (second, _) = masked(1), masked(2)
    assert difference(encoded(first, kind, **options), seen) == 0
    np.testing.assert_array_equal(
        pixels(encoded(first, kind, **options)), pixels(encoded(second, kind, **options))
    )


def test_grey_with_alpha() -> None:
    image, seen = masked(1)
    grey, expected = image.convert("LA"), np.asarray(seen).astype(np.int16)
    found = pixels(encoded(grey, "PNG"))
    assert (found[:20] == 255).all()
    assert np.abs(found[20:60, 30:90].mean(axis=2) - expected[20:60, 30:90].mean(axis=2)).max() < 40


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_transparent_entry(kind: str) -> None:
    palette = Image.new("P", (4, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([0, 1, 0, 1])
    assert pixels(encoded(palette, kind, transparency=0))[0].tolist() == [
        [255, 255, 255],
        [200, 100, 50],
        [255, 255, 255],
        [200, 100, 50],
    ]


def test_one_bit_transparency() -> None:
    bits = Image.new("1", (2, 1))
    bits.putdata([0, 255])
    assert pixels(encoded(bits, "PNG", transparency=0))[0].tolist() == [[255] * 3, [255] * 3]
    assert pixels(encoded(bits, "PNG", transparency=1))[0].tolist() == [[0] * 3, [255] * 3]


def test_transparent_colour_of_truecolour_and_16_bit_pictures() -> None:
    rgb = Image.new("RGB", (2, 1))
    rgb.putdata([(1, 2, 3), (4, 5, 6)])
    assert pixels(encoded(rgb, "PNG", transparency=(1, 2, 3)))[0].tolist() == [[255] * 3, [4, 5, 6]]
    wide = Image.fromarray(np.array([[1000, 20000]], np.uint16))
    data = with_chunk(encoded(wide, "PNG"), b"tRNS", struct.pack(">H", 1000))
    assert pixels(data)[0].tolist() == [[255] * 3, [78] * 3]


@pytest.mark.parametrize("depth", [2, 4])
def test_transparent_grey_of_few_bits(depth: int) -> None:
    top = 2**depth - 1
    row = bytes([0, top << (8 - depth)])  # no filter, then one white and some black pixels
    count = 8 // depth
    header = struct.pack(">IIBBBBB", count, 1, depth, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"tRNS", struct.pack(">H", 0))
    png += png_chunk(b"IDAT", zlib.compress(row)) + png_chunk(b"IEND", b"")
    assert (pixels(png) == 255).all(), "black is transparent, so all is white"
    opaque = png.replace(png_chunk(b"tRNS", struct.pack(">H", 0)), png_chunk(b"tRNS", struct.pack(">H", top)))
    assert pixels(opaque)[0].tolist() == [[255] * 3] + [[0] * 3] * (count - 1)


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert pixels(data)[0, 0].tolist() == [255, 0, 0], kind


def test_mpo_gives_its_first_picture() -> None:
    data = encoded(CAT, "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))], quality=95)
    assert difference(data, CAT) < 8


def test_junk_after_the_end_is_ignored() -> None:
    assert difference(encoded(CAT, "JPEG", quality=95) + b"junk" * 100, CAT) < 8
    assert difference(encoded(CAT, "PNG") + b"junk" * 100, CAT) == 0


def restarting() -> bytes:
    """A JPEG with restart markers in its scan."""
    return encoded(CAT, "JPEG", quality=95, restart_marker_blocks=4)


def restarts(jpeg: bytes) -> list[int]:
    """Where the restart markers of its scan are."""
    scan = jpeg.index(b"\xff\xda")
    return [scan + match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", jpeg[scan:])]


def inserted(data: bytes, at: int, what: bytes) -> bytes:
    return data[:at] + what + data[at:]


@pytest.mark.parametrize("stray", [b"\x12\x34\x56", b"\xff\xff\xff", b"\xff\xe9\0\x06junk"])
def test_stray_bytes_between_segments_are_skipped(stray: bytes) -> None:
    jpeg = encoded(CAT, "JPEG", quality=95)
    for marker in (b"\xff\xdb", b"\xff\xc0", b"\xff\xc4", b"\xff\xda"):
        np.testing.assert_array_equal(pixels(inserted(jpeg, jpeg.index(marker), stray)), pixels(jpeg))


def test_restart_markers_that_are_wrong_or_too_many_leave_a_recognisable_picture() -> None:
    jpeg = restarting()
    third = restarts(jpeg)[3]
    numbered = jpeg[: third + 1] + b"\xd7" + jpeg[third + 2 :]
    assert difference(numbered, CAT) < 8
    assert difference(inserted(jpeg, third, b"\xff\xd0"), CAT) < 12
    plain = encoded(CAT, "JPEG", quality=95)
    assert difference(inserted(plain, len(plain) - 100, b"\xff\xd3"), CAT) < 8


def test_two_joined_jpegs_give_the_first() -> None:
    jpeg = encoded(CAT, "JPEG", quality=95)
    np.testing.assert_array_equal(pixels(jpeg + encoded(CAT.rotate(180), "JPEG")), pixels(jpeg))


# jpegtran -arithmetic, of the cat at 24x16.
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdB"
    "RkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T09PT09PT09PT09PT0//yQARCAAQABgDASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD1pRLbKdddoN1SfZny"
    "gK28tlY2x6/BydU9GYO0s+LwvjIYA7+ggtIKc950CA3E3zXeBGzyPUZlzoY1Cq2CFnDq09MGvlq8ICnfCZS2vkpdgBjyXDf8"
    "qRPwzB2Zpsfz4vVw8lIh2ID/2Q=="
)


def test_arithmetic_coding_is_decoded() -> None:
    assert ARITHMETIC.count(b"\xff\xc9") == 1, "its frame is of the arithmetic kind"
    assert difference(ARITHMETIC, picture("chelsea.png").convert("RGB").resize((24, 16))) < 12


@pytest.mark.parametrize(("offset", "value"), [(4, 12), (1, 0xC3), (1, 0xC5)])
def test_twelve_bit_lossless_and_hierarchical_jpeg_are_refused_by_name(offset: int, value: int) -> None:
    jpeg = bytearray(encoded(CAT, "JPEG"))
    jpeg[jpeg.index(b"\xff\xc0") + offset] = value
    error = refusal(bytes(jpeg))
    assert error.reason == "PictureInvalid"
    assert "JPEG picture cannot be decoded" in error.message


@pytest.mark.parametrize("size", [3, 200_000, 4_000_000])
def test_colour_profiles_of_any_size_are_ignored(size: int) -> None:
    profile = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8).tobytes()
    png = with_chunk(encoded(CAT, "PNG"), b"iCCP", b"p\0\0" + zlib.compress(profile, 1))
    assert difference(png, CAT) == 0
    assert difference(encoded(CAT, "JPEG", quality=95, icc_profile=profile), CAT) < 8


@pytest.mark.parametrize("profile", [b"no profile", bytes(200_000)])
@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "L"), ("JPEG", "CMYK"), ("WEBP", "RGB"), ("TIFF", "RGB"), ("TIFF", "CMYK")]
)
def test_a_colour_profile_changes_no_pixel_of_any_kind(kind: str, mode: str, profile: bytes) -> None:
    image = CAT.convert(mode)
    np.testing.assert_array_equal(
        pixels(encoded(image, kind, icc_profile=profile)), pixels(encoded(image, kind))
    )


def test_corrupt_png_profile_is_ignored() -> None:
    assert difference(with_chunk(encoded(CAT, "PNG"), b"iCCP", b"p\0\x07garbage"), CAT) == 0


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_unsupported_pixel_kinds_are_refused_by_name(mode: str) -> None:
    image = Image.new(mode, (8, 8))
    error = refusal(encoded(image, "TIFF"))
    assert error.reason == "PictureUnsupported"
    assert "TIFF" in error.message
    assert f"kind {mode} " in error.message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused_by_name(kind: str, share: float) -> None:
    data = encoded(CAT, kind)
    error = refusal(data[: int(len(data) * share)])
    assert error.reason == "PictureInvalid"
    assert kind in error.message
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_bytes_flipped_anywhere_give_a_picture_or_a_refusal() -> None:
    random = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"):
        original = np.frombuffer(encoded(CAT, kind), np.uint8)
        for _ in range(30):
            damaged = original.copy()
            damaged[random.integers(0, len(damaged), 8)] = random.integers(0, 256, 8)
            with contextlib.suppress(PictureError):
                assert decode(damaged.tobytes(), Limits(max_pixels=100_000)).mode == "RGB"


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b'{"instances": []}', "JSON"),
        (b"/9j/4AAQSkZJRg", "base64"),
        (b"iVBORw0KGgoAAAANSUhEUg", "base64"),
        (b"data:image/png;base64,iVBO", "data URL"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"random words", "no known picture"),
    ],
)
def test_other_content_is_refused_by_name(data: bytes, named: str) -> None:
    error = refusal(data)
    assert error.reason == "PictureUnsupported"
    assert named in error.message
    assert "JPEG, PNG, WebP" in error.message


def test_formats_outside_the_list_are_refused_although_pillow_reads_them() -> None:
    assert refusal(encoded(CAT, "PPM")).reason == "PictureUnsupported"
    assert refusal(encoded(CAT, "ICO")).reason == "PictureUnsupported"


def test_empty_body() -> None:
    assert refusal(b"").reason == "PictureEmpty"


def test_byte_limit_is_inclusive() -> None:
    data = encoded(CAT, "PNG")
    assert decode(data, Limits(max_bytes=len(data))).size == CAT.size
    error = refusal(data, Limits(max_bytes=len(data) - 1))
    assert error.reason == "PictureTooLarge"
    assert str(len(data) - 1) in error.message


def test_pixel_limit_is_inclusive_and_checked_before_decoding() -> None:
    data = encoded(CAT, "PNG")
    assert decode(data, Limits(max_pixels=120 * 80)).size == CAT.size
    error = refusal(encoded(CAT, "JPEG")[:700], Limits(max_pixels=120 * 80 - 1))
    assert error.reason == "PictureTooManyPixels"
    assert "120x80" in error.message


def test_decompression_bomb_is_refused_by_its_header() -> None:
    png = encoded(Image.new("1", (1, 1)), "PNG")
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    bomb = png[:8] + png_chunk(b"IHDR", header) + png[33:]
    assert refusal(bomb).reason == "PictureTooManyPixels"
    assert refusal(bomb, Limits(max_pixels=PILLOW_MAX_PIXELS)).reason == "PictureTooManyPixels"


def test_limits_that_cannot_hold_are_refused() -> None:
    Limits(max_pixels=PILLOW_MAX_PIXELS)
    for wrong in ({"max_pixels": PILLOW_MAX_PIXELS + 1}, {"max_pixels": 0}, {"max_bytes": 0}):
        with pytest.raises(ValueError, match="max_bytes must"):
            Limits(**wrong)


_FUZZ = """
import sys, warnings
import numpy as np
from squeezenet.errors import PictureError
from squeezenet.pictures import decode
random = np.random.default_rng(1)
for path in sys.argv[1:]:
    original = np.fromfile(path, np.uint8)
    for _ in range(40):
        damaged = original.copy()
        damaged[random.integers(0, min(len(damaged), 600), 6)] = random.integers(0, 256, 6)
        try:
            decode(damaged.tobytes())
        except PictureError as error:
            assert "\\n" not in error.message
"""


def test_damaged_pictures_print_nothing(tmp_path: Path) -> None:
    # Decoders warn through Python and through C, so only a process of its own shows all of it.
    paths = []
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP"):
        paths.append(tmp_path / kind)
        paths[-1].write_bytes(encoded(CAT, kind))
    done = subprocess.run([sys.executable, "-c", _FUZZ, *paths], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_sniff_knows_webp() -> None:
    assert sniff(encoded(CAT, "WEBP")) == "WEBP"
    assert sniff(b"RIFF\0\0\0\0WAVE") is None


@pytest.mark.parametrize(("mode", "compression"), [("RGB", "jpeg"), ("1", "group4"), ("RGB", "tiff_lzw")])
def test_a_damaged_tiff_writes_nothing_to_the_log(
    capfd: pytest.CaptureFixture[str], mode: str, compression: str
) -> None:
    whole = encoded(CAT.convert(mode), "TIFF", compression=compression)
    for damage in (b"\0" * 40, b"\xff" * 40, b"\xaa" * 40):
        data = whole[:8] + damage + whole[48:]
        with contextlib.suppress(PictureError):
            decode(data)
    assert capfd.readouterr() == ("", "")
