"""Checkpoints read without PyTorch equal what PyTorch reads, and hostile ones do nothing."""

from __future__ import annotations

import contextlib
import io
import pickle
import random
import zipfile
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


def repacked(change: Any, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A checkpoint with the members that `change` makes of the original's."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved({"x": torch.arange(8.0)}))) as source,
        zipfile.ZipFile(buffer, "w", compression) as target,
    ):
        for name, data in change({name: source.read(name) for name in source.namelist()}).items():
            target.writestr(name, data)
    return buffer.getvalue()


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
            marker = OrderedDict()
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
