"""Artifacts: every way to load one, and every way in which loading one is refused."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save as safetensors_bytes
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file
from squeezenet import artifact as artifacts
from squeezenet import checkpoint, golden, sources
from squeezenet.architecture import tensor_shapes
from squeezenet.artifact import Artifact, load, save
from squeezenet.config import ArtifactConfig, InputSpec
from squeezenet.errors import (
    ConfigError,
    DigestMismatchError,
    LabelsError,
    WeightsError,
    WeightsNotFoundError,
)
from torchvision.models import get_model


def random_state(architecture: str = "squeezenet1_1", classes: int = 3) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    shapes = tensor_shapes(architecture, classes)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


STATE = random_state()
PICKLES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
TENSORS = {name: torch.from_numpy(array) for name, array in STATE.items()}


@pytest.fixture
def small() -> Artifact:
    config = ArtifactConfig("squeezenet1_1", 3, InputSpec(64, 60), {"seed": 1}, {"top1": 0.5})
    return Artifact(config, ("ant", "bee", "cat"), STATE, "")


def assert_same_state(found: Artifact) -> None:
    assert set(found.state) == set(STATE)
    for name, array in STATE.items():
        assert found.state[name].dtype == np.float32
        np.testing.assert_array_equal(found.state[name], array)


def refused(path: Path | str, named: str, error: type[Exception] = WeightsError, **options: Any) -> str:
    with pytest.raises(error, match=named) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("architecture", ["squeezenet1_0", "squeezenet1_1"])
def test_tensor_shapes_are_torchvisions(architecture: str) -> None:
    theirs = get_model(architecture, weights=None, num_classes=7).state_dict()
    assert {name: tuple(t.shape) for name, t in theirs.items()} == tensor_shapes(architecture, 7)
    assert list(theirs) == list(tensor_shapes(architecture, 7))


def test_saved_artifact_loads_equal(small: Artifact, tmp_path: Path) -> None:
    folder = save(small, tmp_path / "new" / "artifact")
    found = load(folder)
    assert_same_state(found)
    assert (found.config, found.labels) == (small.config, small.labels)
    assert found.digest == "sha256:" + hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    names = ["config.json", "golden.safetensors", "labels.txt", "model.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert load(folder.as_uri()).digest == found.digest


def test_float16_is_half_the_size_and_loads_as_float32(small: Artifact, tmp_path: Path) -> None:
    whole, half = save(small, tmp_path / "f32"), save(small, tmp_path / "f16", "float16")
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, half)]
    assert 1.9 < sizes[0] / sizes[1] < 2.1
    found = load(half)
    for name, array in STATE.items():
        assert found.state[name].dtype == np.float32
        np.testing.assert_array_equal(found.state[name], array.astype(np.float16).astype(np.float32))


def test_weights_beyond_float16_are_not_saved_as_infinity(small: Artifact, tmp_path: Path) -> None:
    state = {**STATE, "classifier.1.bias": np.full(3, 70000, np.float32)}
    with pytest.raises(WeightsError, match="float32"):
        save(replace(small, state=state), tmp_path, "float16")


def test_bfloat16_and_float64_are_cast(tmp_path: Path) -> None:
    for dtype in (torch.bfloat16, torch.float64):
        path = tmp_path / f"{dtype}.safetensors"
        save_torch_file({name: t.to(dtype) for name, t in TENSORS.items()}, path)
        name = "features.0.weight"
        np.testing.assert_array_equal(load(path).state[name], TENSORS[name].to(dtype).float().numpy())


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_pytorch_checkpoints(tmp_path: Path, legacy: bool, wrapper: str | None, prefix: str) -> None:
    content: Any = {prefix + name: tensor for name, tensor in TENSORS.items()}
    content = content if wrapper is None else {wrapper: content, "epoch": 3}
    path = tmp_path / "any-name.bin"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    assert_same_state(load(path))


@pytest.mark.parametrize("architecture", ["squeezenet1_0", "squeezenet1_1"])
@pytest.mark.parametrize("classes", [1, 1000])
def test_bare_file_says_its_architecture_and_classes(tmp_path: Path, architecture: str, classes: int) -> None:
    save_file(random_state(architecture, classes), tmp_path / "x.safetensors")
    found = load(tmp_path / "x.safetensors")
    assert (found.config.architecture, found.config.num_classes) == (architecture, classes)
    assert found.labels[0] == ("tench" if classes == 1000 else "class 0")
    assert load(tmp_path).digest == found.digest, "a folder with one candidate is that candidate"


def test_sha256_is_checked_before_the_weights_are_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    save_file(STATE, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for form in (digest, "sha256:" + digest, digest.upper(), f" {digest}\n"):
        load(path, sha256=form)

    def parse(*_: object, **__: object) -> None:
        pytest.fail("parsed although the digest differs")

    monkeypatch.setattr(checkpoint, "read_state", parse)
    message = refused(path, digest, DigestMismatchError, sha256="0" * 64)
    assert "0" * 64 in message
    refused(path, "64 hexadecimal", ConfigError, sha256=digest[:-1])


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>Sign in", "web page"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey", "web page"),
        (b"\x1f\x8b\x08\0rest", "gzip archive"),
        (b"\x89HDF\r\n\x1a\nrest", "HDF5"),
        (b"\x08\x07\x12\x07pytorch", "ONNX"),
        (b"hello", "neither safetensors nor a PyTorch"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{", "truncated or damaged safetensors"),
        (b"\x80\x02garbage", "truncated or damaged"),
        (b"PK\x03\x04garbage", "truncated or damaged"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_files_that_are_no_weights_are_named(tmp_path: Path, data: bytes, named: str, name: str) -> None:
    refused(written(tmp_path / name, data), named)


def test_archives_are_not_unpacked(tmp_path: Path) -> None:
    inner = io.BytesIO()
    torch.save(TENSORS, inner)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("weights.pth", inner.getvalue())
    refused(tmp_path / "a.pth", "zip archive that is not a PyTorch checkpoint")
    with tarfile.open(tmp_path / "b.pth", "w") as tar:
        tar.add(tmp_path / "a.pth", "weights.pth")
    refused(tmp_path / "b.pth", "tar archive")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_truncated_weights(tmp_path: Path, share: float) -> None:
    save_file(STATE, tmp_path / "a")
    torch.save(TENSORS, tmp_path / "b")
    for name in ("a", "b"):
        data = (tmp_path / name).read_bytes()
        refused(written(tmp_path / f"cut-{name}", data[: int(len(data) * share)]), "truncated or damaged")


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str, str]]:
            return (Path.write_text, (Path(tmp_path / "ran"), "x"))  # type: ignore[return-value]

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    refused(tmp_path / "evil.pth", "Python objects")
    torch.save(get_model("squeezenet1_1", weights=None), tmp_path / "whole.pth")
    refused(tmp_path / "whole.pth", "state_dict")
    assert not (tmp_path / "ran").exists()


def test_checkpoint_without_tensors(tmp_path: Path) -> None:
    for content in ([1, 2], {}, {"epoch": 3}):
        torch.save(content, tmp_path / "x.pth")
        refused(tmp_path / "x.pth", "holds")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    broken = STATE["features.7.squeeze.bias"].copy()
    broken[3] = value
    save_file({**STATE, "features.7.squeeze.bias": broken}, tmp_path / "x")
    refused(tmp_path / "x", "features.7.squeeze.bias.*NaN or infinity")


def test_integer_weights(tmp_path: Path) -> None:
    integers = {name: array.astype(np.int8) for name, array in STATE.items()}
    save_file(integers, tmp_path / "x")
    refused(tmp_path / "x", "I8")
    torch.save({name: torch.from_numpy(array) for name, array in integers.items()}, tmp_path / "y")
    refused(tmp_path / "y", "int8")


def test_missing_unexpected_and_misshapen_tensors(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        (
            {k: v for k, v in STATE.items() if k != "features.3.squeeze.bias"},
            "lack 1 .*features.3.squeeze.bias",
        ),
        ({**STATE, "features.99.weight": np.zeros(1, np.float32)}, "features.99.weight"),
        (
            {**STATE, "classifier.1.bias": np.zeros(4, np.float32)},
            "classifier.1.bias.* shape 4 .* 3 classes has 3",
        ),
        ({**STATE, "features.0.weight": np.zeros((64, 1, 3, 3), np.float32)}, "64x1x3x3.*96x3x7x7.*64x3x3x3"),
        ({"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)}, "features.0.weight.*conv1.weight"),
    ]
    for number, (state, named) in enumerate(cases):
        path = tmp_path / f"{number}.safetensors"
        save_file(state, path)
        refused(path, named)


def test_config_labels_and_weights_must_agree(small: Artifact, tmp_path: Path) -> None:
    folder = save(small, tmp_path)
    refused(folder, "squeezenet1_1, and squeezenet1_0 was asked", ConfigError, architecture="squeezenet1_0")
    refused(folder, "'resnet' is unknown", ConfigError, architecture="resnet")
    refused(folder, "2 labels for a network of 3 classes", LabelsError, labels=["a", "b"])
    assert load(folder, labels=["x", "y", "z"]).labels == ("x", "y", "z")
    (folder / "labels.txt").write_text("ant\nbee\n")
    refused(folder, "2 labels", LabelsError)
    (folder / "labels.txt").unlink()
    assert load(folder).labels == ("class 0", "class 1", "class 2")
    document = json.loads((folder / "config.json").read_text())
    for change in ({"num_classes": 4}, {"architecture": "squeezenet1_0"}):
        (folder / "config.json").write_text(json.dumps({**document, **change}))
        refused(folder, "do not belong together", ConfigError)


def test_folders(small: Artifact, tmp_path: Path) -> None:
    refused(tmp_path, "holds no weights file.*nothing", WeightsNotFoundError)
    (tmp_path / "sub").mkdir()
    (tmp_path / "readme.md").touch()
    refused(tmp_path, r"readme.md, sub/", WeightsNotFoundError)
    for name in ("a.pth", "b.pt", "c.safetensors"):
        (tmp_path / name).touch()
    refused(tmp_path, r"several weights files \(a.pth, b.pt, c.safetensors\)")
    save(small, tmp_path)
    assert_same_state(load(tmp_path))


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("/no/such/place", "does not exist"),
        ("file:///no/such/place", "does not exist"),
        ("builtin://cats", "builtin://digits"),
        ("s3://bucket/key", "scheme 's3'"),
        ("torchvision://resnet18", "torchvision://squeezenet1_0"),
        ("", "holds no|does not exist"),
        ("a\0b", "cannot be read|does not exist"),
    ],
)
def test_uris_that_lead_nowhere(
    uri: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(uri, named, WeightsNotFoundError)


def test_too_large_a_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(STATE, tmp_path / "x")
    size = (tmp_path / "x").stat().st_size
    monkeypatch.setattr(artifacts, "MAX_WEIGHTS_BYTES", size)
    load(tmp_path / "x")
    monkeypatch.setattr(artifacts, "MAX_WEIGHTS_BYTES", size - 1)
    refused(tmp_path / "x", f"has {size} bytes, more than {size - 1}")


def test_torchvision_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy on a closed port: the download fails as it does in a cluster without a way out.
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    message = refused(
        "torchvision://squeezenet1_1", "cannot be downloaded", WeightsNotFoundError, cache=tmp_path
    )
    assert "squeezenet1_1-b8a52dc0.pth" in message
    assert list(tmp_path.iterdir()) == []


def test_torchvision_copy_is_checked_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = random_state("squeezenet1_0", 1000)
    path = tmp_path / "squeezenet1_0-b66bff10.pth"
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, path)
    refused("torchvision://squeezenet1_0", "delete it", DigestMismatchError, cache=tmp_path)
    start = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(sources, "hash_prefix", lambda _: start)
    found = load("torchvision://squeezenet1_0", cache=tmp_path)
    assert found.labels[285] == "Egyptian cat"
    assert (found.config.input.resize, found.config.input.crop) == (256, 227)


def test_safetensors_need_no_pytorch(small: Artifact, tmp_path: Path) -> None:
    program = (
        "import sys; from squeezenet import artifact, preprocess, classify, labels; "
        f"artifact.load({str(save(small, tmp_path))!r}); "
        "print(sorted({'torch', 'torchvision', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_equal_weights_have_an_equal_digest(small: Artifact, tmp_path: Path) -> None:
    digests = {load(save(small, tmp_path / str(number))).digest for number in range(8)}
    assert len(digests) == 1


def test_a_saved_artifact_carries_the_golden_logits_of_what_was_saved(
    small: Artifact, tmp_path: Path
) -> None:
    rounded = load(save(small, tmp_path, "float16"))
    assert rounded.golden is not None
    expected = golden.make(rounded.config, rounded.state)
    np.testing.assert_array_equal(rounded.golden.pixels, expected.pixels)
    np.testing.assert_array_equal(rounded.golden.logits, expected.logits)


def proof(**changes: Any) -> bytes:
    """A golden.safetensors for a network of three classes that sees 20 x 20 pixels."""
    pixels, logits = np.zeros((1, 20, 20, 3), np.uint8), np.zeros((1, 3), np.float32)
    whole: dict[str, Any] = {"pixels": pixels, "logits": logits}
    return safetensors_bytes(whole | changes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"logits": np.full((1, 3), np.nan, np.float32)}, "proves nothing"),
        (
            {"pixels": np.zeros((0, 20, 20, 3), np.uint8), "logits": np.zeros((0, 3), np.float32)},
            "proves nothing",
        ),
        ({"pixels": np.array(1, np.uint8)}, "another artifact"),
        ({"logits": np.array(1, np.float32)}, "another artifact"),
    ],
)
def test_golden_logits_that_prove_nothing_are_refused(changes: Any, named: str) -> None:
    config = ArtifactConfig("squeezenet1_1", 3, InputSpec(20, 20))
    assert golden.from_bytes(proof(), config)
    with pytest.raises(WeightsError, match=named):
        golden.from_bytes(proof(**changes), config)


def test_golden_logits_of_a_shape_that_no_array_has_are_refused() -> None:
    head = json.dumps({"pixels": {"dtype": "U8", "shape": [2**62, 0], "data_offsets": [0, 0]}}).encode()
    with pytest.raises(WeightsError, match="damaged"):
        golden.from_bytes(
            len(head).to_bytes(8, "little") + head, ArtifactConfig("squeezenet1_1", 3, InputSpec(20, 20))
        )


def test_golden_logits_of_another_artifact(small: Artifact, tmp_path: Path) -> None:
    other = replace(small, config=replace(small.config, input=InputSpec(64, 50)))
    data = (save(other, tmp_path / "other") / "golden.safetensors").read_bytes()
    path = save(small, tmp_path / "small") / "golden.safetensors"
    path.write_bytes(data)
    refused(path.parent, "golden.safetensors belongs to another artifact")
    path.write_bytes(data[:100])
    refused(path.parent, "golden.safetensors is damaged")
    path.unlink()
    assert load(path.parent).golden is None, "an artifact may come without"


@pytest.mark.parametrize("kind", ["safetensors", "pth", "legacy pth"])
def test_damaged_weights_are_refused_or_are_still_a_network(tmp_path: Path, kind: str) -> None:
    """Bytes are changed where the structure is: everywhere else they are only other numbers."""
    path = tmp_path / "weights"
    if kind == "safetensors":
        save_file(STATE, path)
    else:
        torch.save(TENSORS, path, _use_new_zipfile_serialization=kind == "pth")
    original, random = path.read_bytes(), np.random.default_rng(0)
    edges = np.r_[0:4000, len(original) - 4000 : len(original)]
    for _ in range(12):
        damaged = np.frombuffer(original, np.uint8).copy()
        damaged[random.choice(edges, 3)] = random.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        with contextlib.suppress(WeightsError):
            assert load(path).config.architecture == "squeezenet1_1"


def test_nothing_in_the_product_loads_a_pickle_another_way() -> None:
    """`torch.load` and its like run what a file says; only `torch_file` opens pickles, with a table."""
    guilty = set()
    for path in Path(artifacts.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(value=ast.Name(id="torch" | "np" | "numpy" | "joblib"), attr="load"):
                    guilty.add(path.name)
                case ast.Import(names=names) if {alias.name for alias in names} & PICKLES:
                    guilty.add(path.name)
                case ast.ImportFrom(module=module) if module in PICKLES:
                    guilty.add(path.name)
    assert guilty == {"torch_file.py"}
