"""int8.safetensors: what it holds, that it comes back whole, and every way in which one is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from squeezenet import artifact as artifacts
from squeezenet import quantization
from squeezenet.artifact import Artifact, load, save
from squeezenet.config import ArtifactConfig, Quantization, from_json, to_json
from squeezenet.errors import ConfigError, WeightsError
from squeezenet.preprocess import fold_normalisation
from squeezenet.quantization import MAX_WEIGHT, Quantized
from squeezenet.sources import BUILTIN

RECORD = Quantization("a method", "1", 300, 1000, 0.9, 0.895, 12)
Tensors = dict[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def digits() -> Artifact:
    return load("builtin://digits")


def int8_of(artifact: Artifact) -> Quantized:
    assert artifact.int8 is not None
    return artifact.int8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUILTIN / "digits", tmp_path / "digits"))


def changed(folder: Path, change: Callable[[Tensors], object]) -> None:
    """Rewrites the file with some of its tensors changed."""
    tensors = load_file(folder / "int8.safetensors")
    change(tensors)
    save_file(tensors, folder / "int8.safetensors")


def test_the_built_in_network_has_int8_weights_and_is_small(digits: Artifact) -> None:
    assert (BUILTIN / "digits" / "int8.safetensors").stat().st_size < 1_000_000
    record = digits.config.quantization
    assert record is not None
    assert (record.calibration_pictures, record.test_pictures) == (300, 360)
    assert quantization.refusal(record) is None


def test_weights_are_the_f32_ones_rounded_to_7_bits(digits: Artifact) -> None:
    folded = fold_normalisation(digits.state, digits.config.input)
    for name, layer in int8_of(digits).convolutions.items():
        assert np.abs(layer.weight.astype(int)).max() in range(60, MAX_WEIGHT + 1), name
        difference = np.abs(layer.dequantized() - folded[f"{name}.weight"])
        # Half a step, and what float32 loses.
        assert (difference <= 0.501 * layer.scale[:, None, None, None]).all(), name
        assert (layer.limit is None) == (name == "classifier.1")


def test_the_file_comes_back_as_it_was_written(digits: Artifact, tmp_path: Path) -> None:
    before, after = int8_of(digits), int8_of(load(save(digits, tmp_path)))
    assert before.convolutions.keys() == after.convolutions.keys()
    for name, layer in before.convolutions.items():
        found = after.convolutions[name]
        for part in ("weight", "scale", "bias"):
            np.testing.assert_array_equal(getattr(found, part), getattr(layer, part))
        assert found.limit == layer.limit
    np.testing.assert_array_equal(after.golden.pixels, before.golden.pixels)
    np.testing.assert_array_equal(after.golden.logits, before.golden.logits)
    assert load(tmp_path).config == digits.config


def test_saving_other_weights_removes_the_int8_ones_that_were_there(digits: Artifact, tmp_path: Path) -> None:
    folder = save(digits, tmp_path)
    save(replace(digits, int8=None, config=replace(digits.config, quantization=None)), folder)
    assert not (folder / "int8.safetensors").exists()
    assert load(folder).int8 is None


def test_int8_weights_are_never_taken_for_the_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    assert load(folder).int8 is not None


def resize(name: str, array: np.ndarray[Any, Any]) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: array})


def spoil(name: str, value: float) -> Callable[[Tensors], object]:
    def change(tensors: Tensors) -> None:
        array = tensors[name].copy()
        array.flat[0] = value
        tensors[name] = array

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tensors: tensors.pop("features.3.squeeze.bias"), "'features.3.squeeze.bias' is missing"),
        (lambda tensors: tensors.pop("logits"), "'logits' is missing"),
        (resize("extra", np.zeros(1, np.float32)), "'extra' is missing or too much"),
        (resize("classifier.1.limit", np.ones(1, np.float32)), "'classifier.1.limit' is missing or too much"),
        (resize("features.0.weight", np.zeros((64, 3, 3, 3), np.float32)), "float32 .*, not int8"),
        (resize("features.0.scale", np.ones(63, np.float32)), r"features.0.scale is float32 \[63\]"),
        (resize("features.0.limit", np.ones(1, np.float32)), r"features.0.limit is float32 \[1\], not"),
        (resize("logits", np.zeros((1, 9), np.float32)), "logits is"),
        (resize("pixels", np.zeros((1, 41, 41, 3), np.uint8)), "pixels is"),
        (resize("pixels", np.array(0, np.uint8)), "pixels is"),
        (spoil("features.3.squeeze.scale", np.nan), "features.3.squeeze holds NaN"),
        (spoil("features.3.squeeze.bias", np.inf), "features.3.squeeze holds NaN"),
        (spoil("features.3.squeeze.limit", -1), "limit of features.3.squeeze is not above zero"),
        (spoil("features.3.squeeze.scale", 0), "scale or limit of features.3.squeeze is not above zero"),
        (spoil("features.3.squeeze.weight", 65), "features.3.squeeze do not keep to 7 bits"),
        (spoil("features.3.squeeze.weight", -128), "features.3.squeeze do not keep to 7 bits"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    folder: Path, change: Callable[[Tensors], object], named: str
) -> None:
    changed(folder, change)
    with pytest.raises(WeightsError, match=named) as caught:
        load(folder)
    assert "quantize the model again" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(folder: Path, share: float) -> None:
    path = folder / "int8.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"int8.safetensors is damaged"):
        load(folder)


def test_int8_weights_of_another_network_are_refused(digits: Artifact, folder: Path) -> None:
    """A digest pins the weights file alone, so these must follow from it."""
    state = dict(digits.state)
    state["features.12.expand3x3.weight"] = state["features.12.expand3x3.weight"][::-1].copy()
    other = save(replace(digits, state=state, int8=None), folder.parent / "other")
    shutil.copy(folder / "int8.safetensors", other)
    with pytest.raises(WeightsError, match=r"features.12.expand3x3 are not those of the weights file"):
        load(other)


@pytest.mark.parametrize("missing", ["file", "record"])
def test_record_and_file_belong_together(folder: Path, missing: str) -> None:
    if missing == "file":
        (folder / "int8.safetensors").unlink()
    else:
        document = json.loads((folder / "config.json").read_text())
        del document["quantization"]
        (folder / "config.json").write_text(json.dumps(document))
    with pytest.raises(WeightsError, match="belong together, and one of them is missing"):
        load(folder)


def test_a_file_that_is_too_large_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "MAX_BYTES", 1000)
    with pytest.raises(WeightsError, match=r"int8.safetensors has \d+ bytes, more than 1000"):
        load(folder)


def test_an_artifact_without_int8_weights_has_none_to_write(digits: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no int8"):
        artifacts.write_quantization(replace(digits, int8=None), tmp_path)


def test_the_record_comes_back_as_it_was_written() -> None:
    config = ArtifactConfig("squeezenet1_1", 3, quantization=RECORD)
    assert from_json(to_json(config)) == config
    assert "quantization" not in to_json(ArtifactConfig("squeezenet1_1", 3))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"extra": 1}, "unknown key 'extra'"),
        ({"method": 1}, "quantization.method must be a string"),
        ({"test_pictures": 0}, "counts no pictures"),
        ({"calibration_pictures": -1}, "counts no pictures"),
        ({"test_pictures": 1.5}, "quantization.test_pictures must be a whole number"),
        ({"top1_changed": 1001}, "more changes than test pictures"),
        ({"top1_int8": 1.01}, "must be shares"),
        ({"top1_f32": float("nan")}, "must be shares"),
        ({"top1_f32": True}, "quantization.top1_f32 must be a number"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(change: dict[str, Any], named: str) -> None:
    document = json.loads(to_json(ArtifactConfig("squeezenet1_1", 3, quantization=RECORD)))
    document["quantization"] |= change
    with pytest.raises(ConfigError, match=named):
        from_json(json.dumps(document))


def test_a_record_lacks_nothing() -> None:
    with pytest.raises(ConfigError, match="quantization lacks the key"):
        from_json('{"architecture": "squeezenet1_1", "num_classes": 3, "quantization": {"method": "x"}}')


@pytest.mark.parametrize(("top1_int8", "used"), [(0.895, True), (0.894999, False), (0.95, True)])
def test_int8_may_lose_half_a_point(top1_int8: float, used: bool) -> None:
    why = quantization.refusal(replace(RECORD, top1_int8=top1_int8))
    assert (why is None) == used
    if why:
        assert "top-1 on 1000 test pictures is 0.8950, more than 0.005 below the 0.9000 of f32" in why
    assert "squeezenet quantize" in str(quantization.refusal(None))
