"""Files of an artifact and checkpoints: only the errors that the library documents may come out."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz import mutations
from fuzz.target import Target
from numpy.typing import NDArray
from safetensors.numpy import save as safetensors_bytes
from squeezenet import architecture, checkpoint, config, golden, labels, torch_file
from squeezenet.config import ArtifactConfig, InputSpec
from squeezenet.errors import ConfigError, LabelsError, WeightsError
from squeezenet.golden import Golden

DIGITS = Path(checkpoint.__file__).parent / "builtin" / "digits"
CONFIG = ArtifactConfig("squeezenet1_1", 3, InputSpec(20, 20))


def _state(data: bytes) -> None:
    state = checkpoint.read_state(data, "file")
    assert sum(array.size for array in state.values()) <= len(data)
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in state.values())
    architecture.identify(state)


def _torch(data: bytes) -> None:
    content = torch_file.load(data)
    if isinstance(content, dict):
        for value in content.values():
            if isinstance(value, torch_file.Tensor):
                assert value.to_float32().size <= len(data)


def _golden(data: bytes) -> None:
    found = golden.from_bytes(data, CONFIG)
    assert len(found.pixels) > 0
    assert np.isfinite(found.logits).all()


# The first byte of an input says which file it is.
READERS: tuple[tuple[Callable[[bytes], Any], type[Exception]], ...] = (
    (_state, WeightsError),
    (_torch, torch_file.TorchFileError),
    (config.from_json, ConfigError),
    (_golden, WeightsError),
    (labels.parse, LabelsError),
)
STATE, TORCH, CONFIG_FILE, GOLDEN, LABELS = range(5)


def run(data: bytes) -> None:
    """Raises what a reader raises beside its documented error."""
    if not data:
        return
    read, documented = READERS[data[0] % len(READERS)]
    with contextlib.suppress(documented):
        read(data[1:])


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Within the structure of the file, mostly; the reader stays."""
    head, body = data[:1], data[1:]
    return head + (_structured(body, rng) if rng.random() < 0.8 else mutations.bytewise(body, rng))


def _structured(body: bytes, rng: random.Random) -> bytes:
    if body.startswith(b"PK"):
        return _zip(body, rng)
    if body.startswith(b"{"):
        return mutations.json_document(body, rng)
    if body[8:9] == b"{":
        length = min(struct.unpack_from("<Q", body)[0], len(body))
        head, tail = body[8 : 8 + length], body[8 + length :]
        if rng.random() < 0.7:
            head = mutations.json_document(head, rng)
        else:
            tail = mutations.bytewise(tail, rng)
        return struct.pack("<Q", len(head)) + head + tail
    return mutations.bytewise(body, rng)


def _zip(body: bytes, rng: random.Random) -> bytes:
    """A checkpoint with other members, whose checksums are right."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    # Of an input that is damaged already.
    except Exception:
        return mutations.bytewise(body, rng)
    if not members:
        return body
    changed = rng.choice(list(members))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, mutations.bytewise(content, rng) if name == changed else content)
    return buffer.getvalue()


def _saved(content: object, legacy: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def seeds() -> list[bytes]:
    """Each file of an artifact, and checkpoints in both of PyTorch's formats, all of them small."""
    tensors = {"a": torch.arange(8.0).reshape(2, 4).t(), "b": torch.ones(3, dtype=torch.bfloat16)}
    training = {"state_dict": OrderedDict(tensors), "epoch": 3, "order": [1, (2, None), {True}], "name": "é"}
    checkpoints = [_saved(content, legacy) for content in (tensors, training) for legacy in (False, True)]
    halves: NDArray[Any] = np.ones(2, np.float16)
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": halves}
    proof = Golden(np.zeros((1, 20, 20, 3), np.uint8), np.zeros((1, 3), np.float32))
    made = [
        *((STATE, file) for file in checkpoints),
        *((TORCH, file) for file in checkpoints),
        (STATE, safetensors_bytes(arrays, {"format": "pt"})),
        (CONFIG_FILE, config.to_json(CONFIG).encode()),
        (CONFIG_FILE, (DIGITS / "config.json").read_bytes()),
        (GOLDEN, golden.to_bytes(proof)),
        (LABELS, "cat\ndog\nZürich\n\n".encode()),
    ]
    return [bytes([reader]) + file for reader, file in made]


TARGET = Target("weights", seeds, run, mutate)
