"""`squeezenet quantize`: from pictures to an artifact that answers in int8, and what it refuses."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from squeezenet import artifact as artifacts
from squeezenet import nncf_quantizer, quantization, quantize
from squeezenet.artifact import Artifact
from squeezenet.cli import main
from squeezenet.config import Quantization
from squeezenet.digits import data
from squeezenet.engines import numpy_reference, select
from squeezenet.engines.openvino_engine import OpenVINOEngine
from squeezenet.errors import ConfigError, DigestMismatchError, EngineError
from squeezenet.preprocess import decode, to_pixels
from squeezenet.sources import BUILTIN
from unit.squeezenet.real_pictures import needs_weights, weights_path

from bench import pictures

DIGITS = BUILTIN / "digits"
Captured = pytest.CaptureFixture[str]


def tree(folder: Path, subset: data.Subset, count: int) -> Path:
    """The first digits of a split as files, in a folder for each label."""
    for index in range(count):
        path = folder / str(subset.classes[index]) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.to_png(data.render(subset.cells[index])))
    return folder


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    digits, root = data.load(0), tmp_path_factory.mktemp("splits")
    return tree(root / "train", digits.train, 60), tree(root / "test", digits.test, 110)


def test_a_network_is_quantized_measured_and_served(
    splits: tuple[Path, Path], tmp_path: Path, capsys: Captured
) -> None:
    train, test = (Path(shutil.copytree(each, tmp_path / each.name)) for each in splits)
    (train / "3" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    (test / "3" / "empty.jpg").touch()
    source, out = Path(shutil.copytree(DIGITS, tmp_path / "source")), tmp_path / "new" / "int8"
    arguments = ["--calibrate", str(train), "--test", str(test), "--out", str(out)]
    assert main(["quantize", str(source), *arguments]) == 0
    printed, told = capsys.readouterr()
    assert printed == f"{out}\n"
    for words in (
        "torn.png",
        "empty.jpg",
        "calibrating on 60 pictures",
        "measured 100 of 111",
        "top-1 on 110",
    ):
        assert words in told
    found, before = artifacts.load(out), artifacts.load(DIGITS)
    assert found.digest == before.digest
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in DIGITS.iterdir())
    for name in ("model.safetensors", "golden.safetensors", "labels.txt", "samples/7.png"):
        assert (out / name).read_bytes() == (DIGITS / name).read_bytes()
    record = found.config.quantization
    assert record is not None
    assert (record.calibration_pictures, record.test_pictures) == (60, 110)
    assert record.top1_loss <= quantization.MAX_TOP1_LOSS
    chosen = select.start(found, select.Wish(precision="int8"))
    assert (chosen.engine.precision, chosen.passed_over) == ("int8", ())
    assert list(out.parent.iterdir()) == [out], "nothing is left beside it"


def test_the_built_in_int8_weights_are_what_the_command_gives(tmp_path: Path) -> None:
    assert main(["quantize", "builtin://digits", "--out", str(tmp_path / "again")]) == 0
    again, built_in = artifacts.load(tmp_path / "again"), artifacts.load(DIGITS)
    assert again.int8 is not None
    assert built_in.int8 is not None
    assert again.config.quantization == built_in.config.quantization
    for name, layer in built_in.int8.convolutions.items():
        other = again.int8.convolutions[name]
        np.testing.assert_array_equal(other.weight, layer.weight)
        # Ranges come from sums in float32, whose order is the CPU's.
        np.testing.assert_allclose(other.bias, layer.bias, rtol=1e-2, atol=1e-2)
        assert (other.limit is None) == (layer.limit is None)
        if layer.limit is not None and other.limit is not None:
            np.testing.assert_allclose(other.limit, layer.limit, rtol=1e-4)


@needs_weights
def test_imagenet_weights_in_int8_are_answered_only_as_well_as_they_are_recorded(tmp_path: Path) -> None:
    bare, out = artifacts.load(weights_path()), tmp_path / "imagenet"
    crops = quantize.Splits(pictures.crops(4, seed=0), pictures.crops(4, seed=1))
    record = quantize.quantize(bare, crops, out, 20, 0, lambda _: None)
    found = artifacts.load(out)
    assert (found.digest, found.labels) == (bare.digest, bare.labels)
    squares = np.stack([to_pixels(decode(picture.read()), bare.config.input) for picture in crops.test])
    true = np.array([picture.class_id for picture in crops.test])
    f32 = OpenVINOEngine(bare).classify_pixels(squares)
    int8 = OpenVINOEngine(found, precision="int8").classify_pixels(squares)
    assert record.top1_f32 == pytest.approx((f32.argmax(axis=1) == true).mean(), abs=1e-6)
    assert record.top1_int8 == pytest.approx((int8.argmax(axis=1) == true).mean(), abs=1e-6)
    assert record.top1_changed == (int8.argmax(axis=1) != f32.argmax(axis=1)).sum()
    assert 0 < np.abs(int8 - f32).mean() < 0.05 * np.abs(f32).max()
    assert found.int8 is not None
    state = quantization.reference_state(found.int8.convolutions)
    expected = numpy_reference.quantized_logits(found.config, state, squares[:2])
    assert np.abs(int8[:2] - expected).max() < 0.005 * np.abs(expected).max()
    chosen = select.start(found, select.Wish(precision="int8"))
    good = record.top1_loss <= quantization.MAX_TOP1_LOSS
    assert chosen.engine.precision == ("int8" if good else "f32")
    assert len(chosen.passed_over) == (0 if good else 1)


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "mine").write_text("precious")
    for existing in (tmp_path, tmp_path / "mine"):
        assert main(["quantize", "builtin://digits", "--out", str(existing)]) == 2
        assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "precious"


def test_without_nncf_it_says_what_to_install(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert main(["quantize", "builtin://digits", "--out", str(tmp_path / "x")]) == 2
    assert "pip install 'squeezeserve[quantize]'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_one_set_of_pictures_does_not_serve_for_both(splits: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match="measure on others"):
        quantize.splits_of(artifacts.load(DIGITS), splits[0], splits[0] / ".." / "train")


def test_only_the_digits_bring_their_own_pictures(splits: tuple[Path, Path], tmp_path: Path) -> None:
    digits = artifacts.load(DIGITS)
    found = quantize.splits_of(digits, splits[0], None)
    assert (len(found.calibration), len(found.test)) == (60, 360)
    shutil.copytree(DIGITS, tmp_path / "other")
    (tmp_path / "other" / "labels.txt").write_text("\n".join("abcdefghij"))
    other = artifacts.load(tmp_path / "other")
    for folders in ((None, None), (splits[0], None), (None, splits[1])):
        with pytest.raises(ConfigError, match="--calibrate and --test are needed"):
            quantize.splits_of(other, *folders)


@pytest.mark.parametrize("split", ["calibration", "test"])
def test_a_split_of_which_nothing_can_be_read(split: str, tmp_path: Path) -> None:
    digits = artifacts.load(DIGITS)
    good = quantize.splits_of(digits, None, None).test[:2]
    bad = [type(good[0])("torn", 1, lambda: b"rest")]
    lines: list[str] = []
    chosen = quantize.Splits(bad if split == "calibration" else good, bad if split == "test" else good)
    with pytest.raises(ConfigError, match=f"none of the {split} pictures can be read"):
        quantize.quantize(digits, chosen, tmp_path / "x", 2, 0, lines.append)
    assert any("torn" in line for line in lines)
    assert not (tmp_path / "x").exists()


def test_a_source_that_changed_meanwhile_gives_no_folder(tmp_path: Path) -> None:
    source = Path(shutil.copytree(DIGITS, tmp_path / "source"))
    digits = artifacts.load(source)
    few = quantize.splits_of(digits, None, None).test[:2]
    data_before = (source / "model.safetensors").read_bytes()

    def change(_: str) -> None:
        (source / "model.safetensors").write_bytes(data_before[:-4] + b"\0\0\0\0")

    with pytest.raises(DigestMismatchError):
        quantize.quantize(digits, quantize.Splits(few, few), tmp_path / "x", 2, 0, change)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_graph_of_another_shape_is_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    digits: Artifact = artifacts.load(DIGITS)
    nncf = nncf_quantizer.import_nncf()
    monkeypatch.setattr(nncf, "quantize", lambda model, *_, **__: model)
    with pytest.raises(EngineError, match=r"not understood: Constant in the place of Multiply"):
        nncf_quantizer.quantize(digits, [])


def test_it_warns_of_weights_that_will_not_be_used() -> None:
    record = Quantization("m", "1", 1, 100, 0.9, 0.8, 12)
    assert "12 answers changed\nint8 will be passed over" in quantize.summary(record)
    assert "passed over" not in quantize.summary(Quantization("m", "1", 1, 100, 0.9, 0.9, 0))
