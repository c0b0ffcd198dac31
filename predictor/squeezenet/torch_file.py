"""Files of ``torch.save`` -> NumPy arrays, without PyTorch and without running anything that they hold.

A checkpoint is a pickle that refers to raw storages: in a zip archive since PyTorch 1.6, before that one
stream. A pickle may name any Python function and have it called. Here a name is looked up in a table of
tensors, dtypes and ordered dictionaries, and in nothing else, as ``torch.load(weights_only=True)`` means
to do. A tensor must lie within its storage and may not be larger than it, so that a small file cannot ask
for much memory.

Source: PyTorch's ``torch/serialization.py`` and ``torch/_utils.py``.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
# Values in one tuple, with those in the tuples within it.
_MAX_TUPLE = 100_000
_ITEM_BYTES = {
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float64": 8,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}
_NUMPY = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2", "float64": "<f8"}
_STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


class TorchFileError(ValueError):
    """The file is damaged, or of a form that no state_dict needs."""


class UnsafeObjectError(TorchFileError):
    """The file names a Python object that is no part of a tensor; it was not looked up."""


@dataclass
class _Storage:
    """Raw values, little-endian; the old format reads them after the tensors that use them."""

    dtype: str
    count: int
    data: bytes = b""


@dataclass(frozen=True)
class Tensor:
    """A strided view of a storage: offset, sizes and strides count elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """PyTorch's name, such as ``float32``."""
        return self.storage.dtype

    def to_float32(self) -> NDArray[np.float32]:
        """A copy of the values, contiguous, float32. Raises TorchFileError for integers and absurd shapes."""
        if self.dtype not in _NUMPY:
            raise TorchFileError(f"{self.dtype} values are no weights")
        flat = np.frombuffer(self.storage.data, _NUMPY[self.dtype])
        if self.dtype == "bfloat16":
            # bfloat16 is the upper half of a float32.
            flat = (flat.astype("<u4") << 16).view("<f4")
        strides = tuple(step * flat.itemsize for step in self.stride)
        try:
            view = np.lib.stride_tricks.as_strided(flat[self.offset :], self.size, strides, writeable=False)
            with np.errstate(over="ignore"):
                return np.array(view, dtype=np.float32, order="C")
        # A shape without values may still be more than an array can have.
        except (ValueError, OverflowError) as error:
            raise TorchFileError("a tensor has a shape that no array has") from error


def load(data: bytes) -> object:
    """What was saved, with a `Tensor` for each tensor.

    Raises:
        UnsafeObjectError: it holds other Python objects than tensors, dictionaries, lists and plain values.
        TorchFileError: the file is damaged, compressed, or not written by ``torch.save``.
    """
    try:
        return _load_zip(data) if data.startswith(b"PK") else _load_stream(io.BytesIO(data))
    except TorchFileError:
        raise
    # The unpickler and the zip reader raise a dozen unrelated classes on damaged bytes.
    except Exception as error:
        raise TorchFileError(f"damaged: {type(error).__name__}: {error}") from error


class _Unpickler(pickle._Unpickler):
    """Python's own unpickler: unlike the C one, its memo cannot be made huge by a few bytes."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}
        self._weights: dict[int, int] = {}

    def weigh_tuple(self) -> None:
        """Tuples of tuples double with every few bytes, and whoever hashes or prints one goes through all."""
        made = self.stack[-1]
        weight = 1 + sum(self._weights.get(id(part), 1) for part in made)
        if weight > _MAX_TUPLE:
            raise TorchFileError("it nests tuples without end")
        self._weights[id(made)] = weight

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UnsafeObjectError(f"it names {module}.{name}"[:200]) from None

    def persistent_load(self, pid: Any) -> _Storage:
        """("storage", type, key, device, count, and in the old format a view)."""
        kind, dtype, key, _, count, *view = pid
        words = isinstance(dtype, str) and isinstance(key, str) and type(count) is int
        if (
            kind != "storage"
            or any(part is not None for part in view)
            or not words
            or dtype not in _ITEM_BYTES
        ):
            raise TorchFileError("a storage of a kind that is not read")
        return self.storages.setdefault(key, _Storage(dtype, count))


def _weighed(load: Any) -> Any:
    def load_and_weigh(unpickler: _Unpickler) -> None:
        load(unpickler)
        unpickler.weigh_tuple()

    return load_and_weigh


# Would set aside as much memory as the file claims. torch.save does not write it.
del _Unpickler.dispatch[pickle.BYTEARRAY8[0]]
# The state of an OrderedDict is of no use here, and could hide its methods; nothing else has one.
_Unpickler.dispatch[pickle.BUILD[0]] = lambda unpickler: unpickler.stack.pop()
for _opcode in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
    _Unpickler.dispatch[_opcode[0]] = _weighed(pickle._Unpickler.dispatch[_opcode[0]])


def _load_zip(data: bytes) -> object:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        order = f"{folder}byteorder"
        if order in archive.namelist() and _stored(archive, order) != b"little":
            raise TorchFileError("it was written on a big-endian machine")
        unpickler = _Unpickler(io.BytesIO(_stored(archive, pickled)))
        content = unpickler.load()
        left = len(data)
        for key, storage in unpickler.storages.items():
            _fill(storage, _stored(archive, f"{folder}data/{key}"))
            left -= len(storage.data)
            if left < 0:
                raise TorchFileError("its members overlap")
    _check_tensors(content)
    return content


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise TorchFileError("it was compressed afterwards")
    return archive.read(info)


def _load_stream(stream: BinaryIO) -> object:
    header = [_Unpickler(stream).load() for _ in range(3)]
    if header[:2] != [_LEGACY_MAGIC, _LEGACY_PROTOCOL] or not header[2].get("little_endian"):
        raise TorchFileError("it does not begin as a file of torch.save on a little-endian machine")
    unpickler = _Unpickler(stream)
    content = unpickler.load()
    for key in _Unpickler(stream).load():
        storage = unpickler.storages[key]
        (count,) = struct.unpack("<q", stream.read(8))
        if count != storage.count:
            raise TorchFileError(f"storage {key} has {count} values and not {storage.count}")
        _fill(storage, stream.read(count * _ITEM_BYTES[storage.dtype]))
    _check_tensors(content)
    return content


def _fill(storage: _Storage, data: bytes) -> None:
    if len(data) != storage.count * _ITEM_BYTES[storage.dtype]:
        raise TorchFileError(f"a storage of {storage.count} {storage.dtype} values has {len(data)} bytes")
    storage.data = data


def _check_tensors(content: object) -> None:
    """Raises TorchFileError for a tensor that reaches beyond its storage, in nested dictionaries too."""
    if isinstance(content, Tensor):
        last = content.offset + sum(
            (extent - 1) * step for extent, step in zip(content.size, content.stride, strict=True)
        )
        count = math.prod(content.size)
        steps = (content.offset, *content.size, *content.stride)
        if min(steps) < 0 or count > content.storage.count or (count and last >= content.storage.count):
            raise TorchFileError(f"a tensor of size {content.size} lies outside of its storage")
    elif isinstance(content, Mapping):
        for value in content.values():
            _check_tensors(value)


def _tensor(
    storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    """In the place of ``torch._utils._rebuild_tensor_v2``; gradients and hooks are left out."""
    numbers = (offset, *size, *stride)
    if not isinstance(storage, _Storage) or not all(type(number) is int for number in numbers):
        raise TorchFileError("a tensor is described wrongly")
    return Tensor(storage, offset, tuple(size), tuple(stride))


def _size(sides: Sequence[int]) -> tuple[int, ...]:
    """In the place of ``torch.Size``."""
    if not all(type(side) is int for side in sides):
        raise TorchFileError("a size is described wrongly")
    return tuple(sides)


def _parameter(data: Tensor, *_: object) -> Tensor:
    """In the place of ``torch._utils._rebuild_parameter``."""
    return data


_ALLOWED: dict[tuple[str, str], Any] = {
    ("__builtin__", "set"): set,
    ("collections", "Counter"): Counter,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): _size,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
    **{("torch", dtype): dtype for dtype in _ITEM_BYTES},
}
