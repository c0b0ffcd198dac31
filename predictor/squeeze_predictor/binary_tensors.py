"""Tensors as raw bytes, the same in V2's binary extension over REST and in gRPC's `raw_input_contents`. Pure.

Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol, "Tensor Data".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from squeeze_predictor.errors import ApiError, bad_request
from squeeze_predictor.settings import MAX_BATCH


def check_count(count: int, shape: Sequence[int], field: str) -> None:
    """Raises ApiError 400 where a shape announces another number of elements."""
    if count != math.prod(shape):
        raise _mismatch(str(count), shape, field)


def _mismatch(count: str, shape: Sequence[int], field: str) -> ApiError:
    return bad_request(
        "ShapeMismatch",
        f"{field}.data has {count} elements, its shape {list(shape)} means {math.prod(shape)}; "
        "the shape counts elements (pictures for BYTES), not bytes",
        f"{field}.shape",
    )


def floats(
    raw: bytes | memoryview, shape: Sequence[int], field: str
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Little-endian float32 in the given shape, without a copy. Raises ApiError 400."""
    size = memoryview(raw).nbytes
    if size != 4 * math.prod(shape):
        raise bad_request(
            "ShapeMismatch",
            f"{field} has {size} binary bytes, its shape {list(shape)} of FP32 means {4 * math.prod(shape)}",
            f"{field}.shape",
        )
    return np.frombuffer(raw, dtype="<f4").reshape(shape)


def strings(data: bytes | memoryview, shape: Sequence[int], field: str) -> list[bytes]:
    """As many elements as the shape says, each after its length as a 4-byte little-endian number.

    Raises ApiError 400, before more than a batch of elements is read: a body has room for millions.
    """
    count = math.prod(shape)
    check_batch(count, field)
    raw, elements = memoryview(data), list[bytes]()
    while raw:
        if len(elements) == count:
            raise _mismatch(f"more than {count}", shape, field)
        if len(raw) < 4:
            raise bad_request(
                "TensorInvalid", f"{field} ends within the length of element {len(elements)}", field
            )
        (length,) = struct.unpack_from("<I", raw)
        if length > len(raw) - 4:
            raise bad_request(
                "TensorInvalid",
                f"element {len(elements)} of {field} announces {length} bytes, {len(raw) - 4} are left",
                field,
            )
        elements.append(bytes(raw[4 : 4 + length]))
        raw = raw[4 + length :]
    check_count(len(elements), shape, field)
    return elements


def check_batch(count: int, field: str) -> None:
    """Raises ApiError 400 for more pictures than any server takes; a server's own limit may be lower."""
    if count > MAX_BATCH:
        raise bad_request(
            "BatchTooLarge", f"{field} has {count} pictures; at most {MAX_BATCH} are answered", field
        )


def pack_strings(elements: Sequence[str]) -> bytes:
    """UTF-8 strings as `strings` reads them."""
    encoded = [element.encode() for element in elements]
    return b"".join(struct.pack("<I", len(element)) + element for element in encoded)
