"""Checkpoints read without PyTorch equal what PyTorch reads, and hostile ones do nothing."""

from __future__ import annotations

import contextlib
import io
import json
import math
import pickle
import random
import struct
import zipfile
import zlib
from collections import Counter, OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from squeezenet import checkpoint, torch_file
from squeezenet.errors import WeightsError
from squeezenet.torch_file import TorchFileError, UnsafeObjectError


def saved(content: Any, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def load_tensor(tensor: torch.Tensor, legacy: bool) -> torch_file.Tensor:
    content: Any = torch_file.load(saved({"x": tensor}, legacy))
    found: torch_file.Tensor = content["x"]
    return found


both_formats = pytest.mark.parametrize("legacy", [False, True])


@both_formats
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_values_of_every_dtype(dtype: torch.dtype, legacy: bool) -> None:
    tensor = (torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0)) * 100).to(dtype)
    found = load_tensor(tensor, legacy).to_float32()
    np.testing.assert_array_equal(found, tensor.float().numpy())
    assert found.flags["C_CONTIGUOUS"]
    assert found.flags["WRITEABLE"]


@both_formats
@pytest.mark.parametrize(
    "view",
    [
        lambda whole: whole[2:7],
        lambda whole: whole.t(),
        lambda whole: whole[::3, 1::2],
        lambda whole: whole[3, 4],
        lambda whole: whole[5:5],
        lambda whole: whole.reshape(1, 2, 5, 8).to(memory_format=torch.channels_last),
        lambda whole: torch.nn.Parameter(whole),
        lambda whole: whole.requires_grad_(),
    ],
)
def test_views_of_a_storage(view: Any, legacy: bool) -> None:
    tensor = view(torch.arange(80, dtype=torch.float32).reshape(10, 8))
    np.testing.assert_array_equal(load_tensor(tensor, legacy).to_float32(), tensor.detach().numpy())


@both_formats
def test_tensors_that_share_a_storage(legacy: bool) -> None:
    whole = torch.arange(10.0)
    content: Any = torch_file.load(saved(OrderedDict(a=whole[:4], b=whole[4:]), legacy))
    assert [list(content[name].to_float32()) for name in "ab"] == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]


@both_formats
def test_what_training_checkpoints_hold_beside_the_weights(legacy: bool) -> None:
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {
        "state_dict": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "best": 0.5,
        "name": "Zürich",
        "shape": torch.ones(2, 3).shape,
        "dtype": torch.float32,
        "order": [1, (2, None), {True, False}, Counter("aab")],
    }
    found: Any = torch_file.load(saved(content, legacy))
    assert (found["epoch"], found["name"], found["shape"]) == (3, "Zürich", (2, 3))
    np.testing.assert_array_equal(found["state_dict"]["weight"].to_float32(), network.weight.detach())


@pytest.mark.parametrize(
    "name",
    ["builtins eval", "builtins getattr", "os system", "posix system", "torch load", "torch.storage _load"],
)
def test_no_other_name_is_looked_up(name: str) -> None:
    module, attribute = name.split()
    call = f"c{module}\n{attribute}\n(S'1/0'\ntR.".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + call)
    with pytest.raises(UnsafeObjectError, match=f"{module}.{attribute}"):
        torch_file.load(buffer.getvalue())


@pytest.mark.parametrize("opcode", [b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"])
def test_no_registered_extension_is_called(opcode: bytes) -> None:
    with pytest.raises(TorchFileError):
        torch_file.load(b"\x80\x02" + opcode + b".")


def test_a_dotted_name_reaches_no_attribute() -> None:
    # Protocol 4 looks names up step by step: OrderedDict.__class__ must not lead to type.
    stream = b"\x80\x04\x8c\x0bcollections\x8c\x15OrderedDict.__class__\x93."
    with pytest.raises(UnsafeObjectError, match=r"OrderedDict\.__class__"):
        torch_file.load(stream)


def test_a_large_memo_index_takes_no_memory() -> None:
    with pytest.raises(TorchFileError):
        torch_file.load(b"\x80\x02Nr\xff\xff\xff\xff.")


def doubled(end: bytes) -> bytes:
    """A pickle of tuples within tuples, 2**60 of them by their number, in a few hundred bytes."""
    return b"\x80\x02)" + b"q\0h\0h\0\x86" * 60 + end


@pytest.mark.parametrize("end", [b"Q.", b"q\1}h\1K\1s.", b"."])
def test_tuples_that_double_take_no_time(end: bytes) -> None:
    with pytest.raises(TorchFileError):
        torch_file.load(doubled(end))


def test_a_compressed_member_is_not_unpacked() -> None:
    order = {"archive/byteorder": b"little" + bytes(10_000_000)}
    with pytest.raises(TorchFileError, match="compressed"):
        torch_file.load(repacked(lambda files: files | order, only_deflated="archive/byteorder"))


def test_a_claimed_length_takes_no_memory() -> None:
    with pytest.raises(TorchFileError):
        torch_file.load(b"\x80\x05\x96" + (2**62).to_bytes(8, "little"))


def test_the_state_of_an_object_hides_nothing() -> None:
    # An OrderedDict whose `items` would be the number 1.
    stream = b"ccollections\nOrderedDict\n)R}X\x05\0\0\0itemsK\1sb."
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + stream)
    with pytest.raises(WeightsError, match="not a state_dict"):
        checkpoint.read_state(buffer.getvalue(), "x.pth")


def test_metadata_of_a_state_dict_is_left_out() -> None:
    network = torch.nn.Linear(2, 2)
    assert network.state_dict()._metadata  # type: ignore[attr-defined]
    assert set(checkpoint.read_state(saved(network.state_dict()), "x.pth")) == {"weight", "bias"}


def repacked(change: Any, compression: int = zipfile.ZIP_STORED, only_deflated: str = "") -> bytes:
    """A checkpoint with the members that `change` makes of the original's."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved({"x": torch.arange(8.0)}))) as source,
        zipfile.ZipFile(buffer, "w", compression) as target,
    ):
        for name, data in change({name: source.read(name) for name in source.namelist()}).items():
            target.writestr(name, data, zipfile.ZIP_DEFLATED if name == only_deflated else None)
    return buffer.getvalue()


def overlapping(count: int, size: int) -> bytes:
    """A checkpoint of as many storages, each of which holds the bytes of all those after it."""
    content, offsets = bytes(size), list[int]()
    heads: list[tuple[str, bytes]] = []
    for number in reversed(range(count)):
        name = f"a/data/{number}"
        heads.append((name, content))
        content = zip_head(b"PK\x03\x04" + struct.pack("<H", 20), name, content) + name.encode() + content
    pickled = b"\x80\x02(" + b"".join(storage(name[7:], len(inner)) for name, inner in heads) + b"l."
    first = zip_head(b"PK\x03\x04" + struct.pack("<H", 20), "a/data.pkl", pickled) + b"a/data.pkl" + pickled
    at, body = len(first), first + content
    for name, _ in reversed(heads):
        offsets.append(at)
        at += 30 + len(name)
    central = b"".join(
        zip_head(b"PK\x01\x02" + struct.pack("<HH", 20, 20), name, inner)
        + struct.pack("<HHHII", 0, 0, 0, 0, offset)
        + name.encode()
        for (name, inner), offset in [
            (("a/data.pkl", pickled), 0),
            *zip(reversed(heads), offsets, strict=True),
        ]
    )
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count + 1, count + 1, len(central), len(body), 0)
    return body + central + end


def zip_head(start: bytes, name: str, content: bytes) -> bytes:
    """What a local header and an entry of the central directory have in common, for a stored member."""
    sizes = (zlib.crc32(content), len(content), len(content), len(name), 0)
    return start + struct.pack("<HHHHIIIHH", 0, 0, 0, 0x21, *sizes)


def storage(key: str, count: int) -> bytes:
    """A pickled storage of bytes."""
    words = [b"X" + struct.pack("<I", len(word)) + word.encode() for word in ("storage", key, "cpu")]
    return (
        b"("
        + words[0]
        + b"ctorch\nByteStorage\n"
        + words[1]
        + words[2]
        + b"J"
        + struct.pack("<i", count)
        + b"tQ"
    )


def test_a_lone_member_of_the_kind_that_overlaps_is_read() -> None:
    assert torch_file.load(overlapping(1, 1000))


def test_members_that_overlap_are_refused() -> None:
    """They would make a small file a large amount of memory. Newer versions of Python refuse them too."""
    with pytest.raises(TorchFileError, match=r"overlap|Overlap"):
        torch_file.load(overlapping(50, 1000))


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (repacked(lambda files: files, zipfile.ZIP_DEFLATED), "compressed"),
        (repacked(lambda files: files | {"archive/byteorder": b"big"}), "big-endian"),
        (repacked(lambda files: files | {"archive/data/0": b"1234"}), "has 4 bytes"),
        (repacked(lambda files: {n: d for n, d in files.items() if "data/0" not in n}), "damaged"),
    ],
)
def test_archives_that_torch_save_did_not_write(data: bytes, named: str) -> None:
    with pytest.raises(TorchFileError, match=named):
        torch_file.load(data)


def described(offset: Any, size: Any, stride: Any) -> bytes:
    """A checkpoint whose tensor claims another place in its storage of 8 values."""

    class Tensor:
        def __reduce__(self) -> Any:
            marker: OrderedDict[str, object] = OrderedDict()
            return torch._utils._rebuild_tensor_v2, (Storage(), offset, size, stride, False, marker)

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, Storage):
                return "storage", torch.FloatStorage, "0", "cpu", 8
            return None

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({"x": Tensor()})
    return repacked(lambda files: files | {"archive/data.pkl": buffer.getvalue()})


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (9,), (1,)),
        (1, (8,), (1,)),
        (0, (3, 3), (3, 1)),
        (0, (2,), (8,)),
        (-1, (2,), (1,)),
        (0, (-2,), (1,)),
        (0, (2,), (-1,)),
        (0, (1000, 1000), (0, 0)),
        (0, (2,), (1, 1)),
        (0, ("2",), (1,)),
        (0.0, (2,), (1,)),
        (2**70, (2,), (1,)),
    ],
)
def test_a_tensor_stays_within_its_storage(offset: Any, size: Any, stride: Any) -> None:
    with pytest.raises(TorchFileError):
        torch_file.load(described(offset, size, stride))


@pytest.mark.parametrize(
    ("size", "stride"),
    [
        ((2**62, 0), (1, 1)),
        ((0, 2**40, 2**40), (1, 1, 1)),
        ((2**70, 0), (1, 1)),
        ((1,), (2**70,)),
        ((1,) * 70, (1,) * 70),
    ],
)
def test_a_shape_that_no_array_has_is_refused(size: Any, stride: Any) -> None:
    with pytest.raises(WeightsError):
        checkpoint.read_state(described(0, size, stride), "x.pth")


@pytest.mark.parametrize("shape", [[2**62, 0], [1] * 70])
def test_a_shape_that_no_array_has_is_refused_in_safetensors(shape: list[int]) -> None:
    raw = bytes(4 * math.prod(shape))
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, len(raw)]}
    head = json.dumps({"x": entry}).encode()
    with pytest.raises(WeightsError, match="damaged"):
        checkpoint.read_state(len(head).to_bytes(8, "little") + head + raw, "x.safetensors")


def test_the_edge_of_a_storage_is_within_it() -> None:
    content: Any = torch_file.load(described(4, (2, 2), (2, 1)))
    np.testing.assert_array_equal(content["x"].to_float32(), [[4, 5], [6, 7]])


def test_many_names_for_one_storage_are_refused() -> None:
    whole = torch.arange(1000.0)
    with pytest.raises(WeightsError, match="share their values"):
        checkpoint.read_state(saved({f"x{n}": whole for n in range(50)}), "x.pth")


@both_formats
def test_damage_anywhere_is_an_error_of_ours_or_harmless(legacy: bool) -> None:
    data = saved({"x": torch.arange(8.0), "y": {"z": [1, "two"]}}, legacy)
    chance = random.Random(0)
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        with contextlib.suppress(TorchFileError):
            torch_file.load(bytes(damaged))
