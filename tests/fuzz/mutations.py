"""Changes to inputs that keep a format's structure, so that they get past its first checks. Pure."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n"
NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        5,
        2**31,
        2**63,
        -(2**63),
        10**30,
        10**400,
        1.5,
        1e308,
        -0.0,
        "",
        "a",
        "é",
        "\0",
    ),
    *("image", "input", "FP32", "BYTES", "label", "b64", [], {}, [[]], [1], [1, 3, 40, 40], [[1], [1, 2]]),
    *({"b64": ""}, {"top_k": 1}, {"binary_data": True}, {"binary_data_size": 4}, "x" * 300),
)
Mutate = Callable[[bytes, random.Random], bytes]


def bytewise(data: bytes, rng: random.Random) -> bytes:
    """One to four small changes anywhere: other bytes, numbers, blocks moved, left out or repeated."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made) + 1)
        length = rng.randint(1, 8) if rng.random() < 0.8 else rng.randint(1, max(1, len(made)))
        match rng.randrange(6):
            case 0 if made:
                made[at % len(made)] = rng.randrange(256)
            case 1:
                form = rng.choice(("<H", ">H", "<I", ">I"))
                number = struct.pack(form, rng.choice(NUMBERS) % 2 ** (8 * struct.calcsize(form)))
                made[at : at + len(number)] = number
            case 2:
                del made[at : at + length]
            case 3:
                made[at:at] = made[at : at + length]
            case 4:
                made[at:at] = rng.randbytes(min(length, 64))
            case 5:
                del made[at:]
            case _:
                made.append(0)
    return bytes(made)


def one_of(parts: Sequence[bytes], rng: random.Random, mutate: Mutate = bytewise) -> list[bytes]:
    """The parts with one changed, left out, doubled or moved."""
    made = list(parts)
    if not made:
        return made
    at = rng.randrange(len(made))
    match rng.randrange(6):
        case 0:
            del made[at]
        case 1:
            made.insert(at, made[at])
        case 2:
            made.insert(rng.randrange(len(made)), made.pop(at))
        case _:
            made[at] = mutate(made[at], rng)
    return made


def png(data: bytes, rng: random.Random) -> bytes:
    """A PNG with other chunks, whose lengths and checksums are right."""
    chunks, at = [], len(PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append(data[at + 4 : at + 8 + length])
        at += 12 + length

    def change(chunk: bytes, rng: random.Random) -> bytes:
        name, body = chunk[:4], chunk[4:]
        if name == b"IDAT" and rng.random() < 0.5:
            return name + _within_zlib(body, rng)
        return name + bytewise(body, rng)

    return PNG + b"".join(
        struct.pack(">I", max(0, len(chunk) - 4)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in one_of(chunks, rng, change)
    )


def _within_zlib(body: bytes, rng: random.Random) -> bytes:
    try:
        return zlib.compress(bytewise(zlib.decompress(body), rng), 1)
    except zlib.error:
        return bytewise(body, rng)


def jpeg(data: bytes, rng: random.Random) -> bytes:
    """A JPEG with other segments, whose lengths are right; sometimes other entropy-coded data."""
    segments, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        segments.append(data[at + 1 : at + 2] + data[at + 4 : at + 2 + length])
        at += 2 + max(2, length)
    scan = data[at:]
    if rng.random() < 0.3:
        scan = bytewise(scan, rng)
    else:
        segments = one_of(segments, rng, lambda part, rng: part[:1] + bytewise(part[1:], rng))
    return (
        data[:2]
        + b"".join(
            b"\xff" + part[:1] + struct.pack(">H", (len(part) + 1) % 65536) + part[1:] for part in segments
        )
        + scan
    )


def tiff(data: bytes, rng: random.Random) -> bytes:
    """A TIFF with another entry in its first directory."""
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 8:
        return bytewise(data, rng)
    (offset,) = struct.unpack_from(order + "I", data, 4)
    if offset + 2 > len(data):
        return bytewise(data, rng)
    (count,) = struct.unpack_from(order + "H", data, offset)
    at = offset + 2 + 12 * rng.randrange(max(1, count))
    if at + 12 > len(data):
        return bytewise(data, rng)
    tag, kind, values, value = struct.unpack_from(order + "HHII", data, at)
    match rng.randrange(4):
        case 0:
            tag = rng.choice((254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 322, 330, 338))
        case 1:
            kind = rng.randrange(20)
        case 2:
            values = rng.choice(NUMBERS)
        case _:
            value = rng.choice((*NUMBERS, rng.randrange(len(data))))
    return data[:at] + struct.pack(order + "HHII", tag, kind, values, value) + data[at + 12 :]


def riff(data: bytes, rng: random.Random) -> bytes:
    """A WebP with other chunks, whose lengths are right."""
    chunks, at = [], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        chunks.append(data[at : at + 4] + data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    changed = one_of(chunks, rng, lambda part, rng: part[:4] + bytewise(part[4:], rng))
    body = b"WEBP" + b"".join(
        part[:4] + struct.pack("<I", max(0, len(part) - 4)) + part[4:] + b"\0" * (len(part) % 2)
        for part in changed
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def json_document(data: bytes, rng: random.Random) -> bytes:
    """A JSON document with another value somewhere."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return bytewise(data, rng)
    text = json.dumps(_json(document, rng), ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.02:
        # Deeper than json.dumps can go.
        text = text.replace(":", ":" + "[" * rng.choice((100, 2000, 20_000)), 1)
    return text.encode("utf-8", "surrogatepass")


def _json(node: Any, rng: random.Random) -> Any:
    if not isinstance(node, (list, dict)) or not node or rng.random() < 0.2:
        return _value(node, rng)
    if isinstance(node, list):
        at = rng.randrange(len(node))
        if rng.random() < 0.2:
            return node[:at] + [node[at]] * rng.choice((0, 2, 3, 70)) + node[at + 1 :]
        return [*node[:at], _json(node[at], rng), *node[at + 1 :]]
    key = rng.choice(list(node))
    if rng.random() < 0.2:
        return {name: value for name, value in node.items() if name != key}
    if rng.random() < 0.1:
        return {**node, rng.choice(("id", "x", "parameters", "outputs", "data")): rng.choice(VALUES)}
    return {**node, key: _json(node[key], rng)}


def _value(node: Any, rng: random.Random) -> Any:
    if isinstance(node, str) and rng.random() < 0.4:
        return bytewise(node.encode(), rng).decode("latin-1")
    nested = rng.choice(VALUES)
    for _ in range(rng.choice((0, 0, 0, 1, 3, 40, 90))):
        nested = [nested]
    return nested
