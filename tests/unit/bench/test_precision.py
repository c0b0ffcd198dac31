"""The table of precisions: its labelled crops, and its rows."""

import io

import numpy as np
import pytest
from PIL import Image

from bench import pictures, precision


def test_crops_are_of_five_classes_and_fixed_by_their_seed() -> None:
    first, again, other = (pictures.crops(2, seed) for seed in (0, 0, 1))
    assert len(first) == 2 * len(pictures.LABELLED)
    assert {each.class_id for each in first} == set(pictures.LABELLED.values())
    assert [each.read() for each in first] == [each.read() for each in again]
    assert first[0].read() != other[0].read()
    with Image.open(io.BytesIO(first[2].read())) as crop:
        assert 0.6 * 451 <= crop.width <= 451
        assert 0.6 * 300 <= crop.height <= 300


def test_the_digits_are_measured_in_each_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "SECONDS", 0.01)
    (before, after) = precision.measure("builtin://digits", bf16=False)
    assert (before["precision"], before["change"], before["changed"]) == ("f32", 0.0, 0)
    assert (after["precision"], after["pictures"]) == ("int8", 360)
    assert after["top1"] >= before["top1"] - 0.005
    assert 0 < after["change"] < 0.3
    line = precision.row("digits", "AVX2", after | {"ms": np.float64(1.234)})
    assert line.startswith("| digits | AVX2 | int8 | 1.23 | 0.98")
    assert line.count("|") == precision.HEAD.splitlines()[0].count("|")
