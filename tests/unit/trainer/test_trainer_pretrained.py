"""Pretrained weights reach in a few iterations what random ones do not, on real pictures."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from unit.squeezenet.real_pictures import needs_weights, weights_path

from bench import finetuning, tiles

NAMES = ("cat", "coffee", "rocket", "palace")


def test_tiles_of_a_photograph_are_divided_without_overlap(tmp_path: Path) -> None:
    tiles.write(tmp_path, NAMES[:1])
    found = {
        split: sorted(path.stem for path in (tmp_path / split / "cat").iterdir())
        for split in ("train", "val", "test")
    }
    assert [len(names) for names in found.values()] == [12, 12, 12]
    assert len({name for names in found.values() for name in names}) == 36
    assert Image.open(tmp_path / "train" / "cat" / "0-0.png").size == (451 // 6, 300 // 6)


@needs_weights
def test_finetuning_beats_training_from_nothing_on_the_same_budget(tmp_path: Path) -> None:
    data = tiles.write(tmp_path / "data", NAMES)
    pretrained, random = (
        finetuning.train(name, data, tmp_path / name, initial, rate, iterations=24, every=12)
        for name, initial, rate in (("pretrained", str(weights_path()), 1e-4), ("random", None, 1e-3))
    )
    assert pretrained.top1 is not None
    assert pretrained.top1 >= 0.7
    assert pretrained.top1 > (random.top1 or 0.25) + 0.1
    assert "| pretrained |" in finetuning.table([pretrained, random])
