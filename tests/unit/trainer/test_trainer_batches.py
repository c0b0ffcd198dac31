"""Which pictures come when and what they become, however many processes load them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from squeeze_trainer import augmentation, listing, sampler
from squeeze_trainer.dataset import IGNORED, Batch, Pictures, heads, loader
from squeeze_trainer.network import Normaliser
from squeeze_trainer.settings import Augmentation, DataSettings
from squeeze_trainer.store import Store
from squeezenet import preprocess
from squeezenet.config import InputSpec
from unit.trainer import trees

SPEC = InputSpec(resize=40, crop=32, mean=(0.2, 0.5, 0.7), std=(0.3, 0.4, 0.5))


def keys(start: int = 0, rank: int = 0, world: int = 1, epoch: int = 3) -> list[list[tuple[int, int]]]:
    return list(sampler.TrainingKeys(7, epoch, 11, 4, start, rank, world))


def batches(root: Path, workers: int, epoch: int = 0) -> list[Batch]:
    split = listing.load(DataSettings(str(root))).train
    pictures = Pictures(split, Store(str(root)), SPEC, Augmentation(), seed=5)
    wanted = sampler.TrainingKeys(5, epoch, len(split), 6, 0, 0, 1)
    return list(loader(pictures, wanted, workers, pin=False))


def test_an_epoch_has_every_picture_once_in_an_order_of_its_own() -> None:
    rows = [row for batch in keys() for _, row in batch]
    assert sorted(rows) == list(range(11))
    assert rows == [row for batch in keys() for _, row in batch]
    assert rows != [row for batch in keys(epoch=4) for _, row in batch]


def test_resuming_in_an_epoch_gives_exactly_the_batches_that_are_left() -> None:
    assert keys(start=1) == keys()[1:]


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_share_the_same_global_batches(world: int) -> None:
    shares = [keys(rank=rank, world=world) for rank in range(world)]
    for number, whole in enumerate(keys()):
        parts = [share[number] for share in shares]
        assert len({len(part) for part in parts}) == 1
        assert sorted(key for part in parts for key in part if key[1] != sampler.PADDING) == sorted(whole)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 101])
def test_evaluation_has_every_picture_once_and_equally_many_batches(world: int, count: int) -> None:
    shares = [list(sampler.EvaluationKeys(count, 4, rank, world)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    rows = [row for share in shares for batch in share for _, row in batch if row != sampler.PADDING]
    assert sorted(rows) == list(range(count))


def test_the_number_of_loading_processes_changes_no_pixel(tmp_path: Path) -> None:
    trees.tree(tmp_path)
    torch.manual_seed(1)
    alone, _ = batches(tmp_path, 0), torch.rand(3)
    torch.manual_seed(2)
    beside = batches(tmp_path, 2)
    for one, other in zip(alone, beside, strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.labels, other.labels)
    assert not torch.equal(alone[0].pixels, batches(tmp_path, 0, epoch=1)[0].pixels)


def test_augmenting_leaves_the_process_generator_alone() -> None:
    change = augmentation.transforms(Augmentation(), SPEC)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8))
    torch.manual_seed(9)
    expected = torch.rand(2)
    torch.manual_seed(9)
    first, again, other = (augmentation.augment(change, picture, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    assert first.shape == (32, 32, 3)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (31, 33)])
def test_pictures_of_any_shape_can_be_augmented(size: tuple[int, int]) -> None:
    change = augmentation.transforms(Augmentation(), SPEC)
    for seed in range(3):
        assert augmentation.augment(change, Image.new("RGB", size), seed).shape == (32, 32, 3)


def test_corners_that_a_rotation_uncovers_are_zero_for_the_network() -> None:
    change = augmentation.transforms(Augmentation(area=(1, 1), aspect=(1, 1), rotation=45, flip=0), SPEC)
    pixels = augmentation.augment(change, Image.new("RGB", (64, 64), "white"), 3)
    inputs = preprocess.normalise(pixels, SPEC)
    assert np.abs(inputs[:, 0, 0]).max() < 0.01


def test_pictures_that_are_measured_are_those_of_serving(tmp_path: Path) -> None:
    trees.tree(tmp_path)
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 90, 4), np.uint8)).save(buffer, "PNG")
    (tmp_path / "test" / "0" / "zz.png").write_bytes(buffer.getvalue())
    split = listing.load(DataSettings(str(tmp_path))).test
    pictures = Pictures(split, Store(str(tmp_path)), SPEC)
    normalise = Normaliser(SPEC, torch.device("cpu"))
    for row in range(len(split)):
        served = preprocess.preprocess((tmp_path / split.name(row)).read_bytes(), SPEC)
        ours = normalise(torch.tensor(pictures[0, row].pixels)[None])[0]
        np.testing.assert_array_equal(ours.numpy(), served)


def test_network_inputs_lie_channels_last() -> None:
    inputs = Normaliser(SPEC, torch.device("cpu"))(torch.zeros(2, 32, 32, 3, dtype=torch.uint8))
    assert inputs.shape == (2, 3, 32, 32)
    assert inputs.is_contiguous(memory_format=torch.channels_last)


def test_a_damaged_picture_is_named_and_counts_nowhere(tmp_path: Path) -> None:
    trees.tree(tmp_path)
    damaged = tmp_path / "train" / "0" / "000.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    found = batches(tmp_path, 0)
    assert sum(int((batch.labels == IGNORED).sum()) for batch in found) == 1
    ((name, cause),) = [one for batch in found for one in batch.damage]
    assert name == "train/0/000.png"
    assert "cannot be decoded" in cause


def test_files_that_only_have_a_picture_name_are_found_by_their_first_bytes(tmp_path: Path) -> None:
    trees.tree(tmp_path)
    (tmp_path / "train" / "1" / "a.png").write_bytes(b"<html>not found</html>")
    (tmp_path / "train" / "1" / "b.jpg").write_bytes(b"")
    (tmp_path / "train" / "1" / "c.jpg").write_bytes(trees.digit(1, 50))
    split = listing.load(DataSettings(str(tmp_path))).train
    wrong = [split.name(int(row)) for row in heads(split, Store(str(tmp_path)))]
    assert wrong == ["train/1/a.png", "train/1/b.jpg"]
