"""Bytes of a weights file -> named float32 arrays.

The format is read from the content, never from the name or a server's Content-Type. Two formats are read,
both with NumPy alone and neither with a way to run code: safetensors, which is preferred, and PyTorch
checkpoints (:mod:`squeezenet.torch_file`).

Archives are never unpacked: a modern checkpoint is itself a zip, and everything else is refused by name.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from squeezenet import torch_file
from squeezenet.errors import WeightsError

State = Mapping[str, NDArray[np.float32]]

_SAVE_HINT = "save the network's state_dict() as safetensors, or with torch.save"

# (first bytes, what it is); each is a file that people do hand over in place of weights.
_OTHER_FORMATS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x89HDF\r\n", "an HDF5 file (Keras)"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x08\x07\x12", "an ONNX model"),
    (b"\x08\x08\x12", "an ONNX model"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")
_SAFETENSORS_DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


def read_state(data: bytes, name: str) -> dict[str, NDArray[np.float32]]:
    """All tensors of the file, cast to float32, wrapper prefixes removed. ``name`` is for messages only.

    Raises WeightsError, naming the cause: not weights, damaged, not floating point, NaN or infinity.
    """
    refuse_lookalikes(data, name)
    state = _read_safetensors(data, name) if _is_safetensors(data) else _read_torch(data, name)
    state = strip_prefixes(state)
    for key, array in state.items():
        if not np.isfinite(array).all():
            raise WeightsError(
                f"tensor {key!r} of {name} holds NaN or infinity: the training diverged or the file is "
                "damaged; use an earlier checkpoint."
            )
    return state


def refuse_lookalikes(data: bytes, name: str) -> None:
    """Raises WeightsError for files that are known not to be weights, saying what they are."""
    head = data[:512]
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not data:
        raise WeightsError(f"{name} is empty (0 bytes): the upload or download failed; copy it again.")
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        raise WeightsError(
            f"{name} is a Git LFS pointer, not the weights: run `git lfs pull`, or use the file's "
            "download link."
        )
    if text.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head", b"<error")):
        raise WeightsError(
            f"{name} is a web page, not weights: the link leads to a login or an error page; "
            "use the direct link."
        )
    if data[257:262] == b"ustar":
        raise WeightsError(f"{name} is a tar archive: extract the weights file from it, and give that.")
    for magic, what in _OTHER_FORMATS:
        if data.startswith(magic):
            raise WeightsError(f"{name} is {what}, not a SqueezeNet checkpoint: {_SAVE_HINT}.")


def strip_prefixes(state: State) -> dict[str, NDArray[np.float32]]:
    """Removes what DataParallel (``module.``) and torch.compile (``_orig_mod.``) put before every name."""
    result = dict(state)
    while prefix := next((p for p in _PREFIXES if result and all(k.startswith(p) for k in result)), None):
        result = {key.removeprefix(prefix): array for key, array in result.items()}
    return result


def _is_safetensors(data: bytes) -> bool:
    # Eight bytes of header length, then the header's JSON object. A pickle or zip never has "{" there.
    return len(data) > 8 and data[8:9] == b"{"


def _read_safetensors(data: bytes, name: str) -> dict[str, NDArray[np.float32]]:
    try:
        entries = deserialize(data)  # type: ignore[no-untyped-call]
        return {key: _from_bytes(key, entry, name) for key, entry in entries}
    # A ValueError where a shape is more than an array can have.
    except (SafetensorError, ValueError) as error:
        raise WeightsError(
            f"{name} is a truncated or damaged safetensors file ({error}): copy it again and check "
            "its sha256."
        ) from error


def _from_bytes(key: str, entry: Mapping[str, Any], name: str) -> NDArray[np.float32]:
    dtype, raw, shape = entry["dtype"], entry["data"], entry["shape"]
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").astype(np.float32).reshape(shape)
    if dtype not in _SAFETENSORS_DTYPES:
        raise WeightsError(
            f"tensor {key!r} of {name} has dtype {dtype}: quantised weights cannot be used; use f32."
        )
    array = np.frombuffer(raw, np.dtype(_SAFETENSORS_DTYPES[dtype]).newbyteorder("<")).reshape(shape)
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _read_torch(data: bytes, name: str) -> dict[str, NDArray[np.float32]]:
    if data.startswith(b"PK\x03\x04"):
        _check_zip(data, name)
    elif not data.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise WeightsError(f"{name} is neither safetensors nor a PyTorch checkpoint: {_SAVE_HINT}.")
    try:
        content = torch_file.load(data)
    except torch_file.UnsafeObjectError as error:
        raise WeightsError(
            f"{name} holds Python objects beside tensors ({error}): {_SAVE_HINT}(network.state_dict())."
        ) from error
    except torch_file.TorchFileError as error:
        raise WeightsError(
            f"{name} is a truncated or damaged checkpoint ({error}): copy it again and check its sha256."
        ) from error
    return _to_arrays(_unwrap(content, name), name, len(data))


def _check_zip(data: bytes, name: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise WeightsError(
            f"{name} is a truncated or damaged checkpoint: copy it again, check its sha256."
        ) from error
    if any(member.endswith("/constants.pkl") or member == "constants.pkl" for member in members):
        raise WeightsError(f"{name} is a TorchScript program, not a state_dict: {_SAVE_HINT}.")
    if not any(member.endswith("data.pkl") for member in members):
        raise WeightsError(
            f"{name} is a zip archive that is not a PyTorch checkpoint: extract the weights file from it."
        )


def _unwrap(content: object, name: str) -> Mapping[str, torch_file.Tensor]:
    """The state_dict itself, or the one that a training checkpoint holds under a customary key."""
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{name} holds a {type(content).__name__}, not a state_dict: {_SAVE_HINT}.")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, torch_file.Tensor):
            raise WeightsError(f"{name} holds {str(key)[:80]!r}, which is not a named tensor: {_SAVE_HINT}.")
    return content


def _to_arrays(
    state: Mapping[str, torch_file.Tensor], name: str, file_bytes: int
) -> dict[str, NDArray[np.float32]]:
    # Many names for one storage would make a small file a large amount of memory.
    if sum(math.prod(tensor.size) for tensor in state.values()) > file_bytes:
        raise WeightsError(f"the tensors of {name} share their values: save each of them on its own.")
    arrays: dict[str, NDArray[np.float32]] = {}
    for key, tensor in state.items():
        try:
            arrays[key] = tensor.to_float32()
        except torch_file.TorchFileError as error:
            raise WeightsError(
                f"tensor {key!r} of {name} cannot be used ({error}): use dense f32."
            ) from error
    return arrays
