"""What the trainer makes of a data set, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from squeeze_trainer import listing, splits
from squeeze_trainer.errors import DataError
from squeeze_trainer.layouts import SPLITS
from squeeze_trainer.settings import DataSettings
from unit.trainer import trees


def load(root: Path, **options: object) -> listing.Listing:
    return listing.load(DataSettings(str(root), **options))  # type: ignore[arg-type]


def names(split: listing.Split) -> list[str]:
    return [split.name(row) for row in range(len(split))]


def test_splits_are_the_folders(tmp_path: Path) -> None:
    found = load(trees.tree(tmp_path))
    assert found.classes == ("0", "1")
    assert [len(found.split(name)) for name in SPLITS] == [16, 8, 8]
    assert names(found.validation)[0] == "val/0/008.png"
    assert found.validation.labels.tolist() == [0] * 4 + [1] * 4
    assert found.notes == ()


@pytest.mark.parametrize("name", ["val", "validation", "valid", "VAL"])
def test_a_validation_folder_may_have_any_usual_name(tmp_path: Path, name: str) -> None:
    found = load(trees.tree(tmp_path, counts={"train": 3, name: 2, "test": 2}))
    assert [len(found.split(split)) for split in SPLITS] == [6, 4, 4]


def test_without_a_test_folder_half_of_validation_is_kept_unseen(tmp_path: Path) -> None:
    found = load(trees.tree(tmp_path, counts={"train": 4, "val": 6}))
    assert [len(found.split(name)) for name in SPLITS] == [8, 6, 6]
    assert not set(names(found.validation)) & set(names(found.test))
    assert any("half of the validation" in note for note in found.notes)


@pytest.mark.parametrize("layout", ["train", "."])
def test_one_tree_is_divided_by_fraction_and_seed(tmp_path: Path, layout: str) -> None:
    trees.tree(tmp_path, counts={layout: 20})
    options = {"fractions": (0.2, 0.1)}
    found, again = load(tmp_path, **options), load(tmp_path, **options)
    other = load(tmp_path, split_seed=1, **options)
    assert [len(found.split(name)) for name in SPLITS] == [28, 8, 4]
    parts = [set(names(found.split(name))) for name in SPLITS]
    assert len(set.union(*parts)) == 40
    assert found.fingerprint() == again.fingerprint() != other.fingerprint()
    assert np.bincount(found.validation.labels).tolist() == [4, 4]


def test_a_split_by_fraction_holds_classes_apart() -> None:
    labels = np.array([0] * 10 + [1] * 4 + [2] * 2)
    held, rest = splits.stratified(labels, [0.25], 0)
    assert np.bincount(labels[held], minlength=3).tolist() == [2, 1, 1]
    assert sorted([*held, *rest]) == list(range(16))
    fewer, _ = splits.stratified(labels[:10], [0.25], 0)
    assert fewer.tolist() == [index for index in held if index < 10]


def test_pictures_in_deeper_folders_belong_to_the_class(tmp_path: Path) -> None:
    trees.tree(tmp_path)
    trees.folder(tmp_path / "train" / "0" / "scanned", 0, 40, 2)
    assert len(load(tmp_path).train) == 18


def test_empty_class_folder_is_refused_by_name_or_kept_by_request(tmp_path: Path) -> None:
    trees.tree(tmp_path)
    (tmp_path / "train" / "00-empty").mkdir()
    with pytest.raises(
        DataError, match=r"1 class folder\(s\) hold no pictures to train on: 00-empty\. .*--allow-empty"
    ):
        load(tmp_path)
    kept = load(tmp_path, allow_empty=True)
    assert kept.classes == ("0", "00-empty", "1")
    assert sorted(set(kept.train.labels.tolist())) == [0, 2]


def test_class_folder_of_other_files_counts_as_empty_and_says_so(tmp_path: Path) -> None:
    trees.tree(tmp_path)
    (tmp_path / "train" / "2").mkdir()
    (tmp_path / "train" / "2" / "picture.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"only files that are none \(train/2/picture\.heic\)"):
        load(tmp_path)


def test_empty_class_in_validation_changes_no_class_number(tmp_path: Path) -> None:
    trees.tree(tmp_path, classes=3)
    for split in ("val", "test"):
        for path in (tmp_path / split / "1").iterdir():
            path.unlink()
    found = load(tmp_path)
    assert found.classes == ("0", "1", "2")
    assert set(found.validation.labels.tolist()) == {0, 2}
    assert "the validation split has no samples of 1 class(es): 1" in found.notes


def test_classes_that_training_has_not_are_refused(tmp_path: Path) -> None:
    trees.tree(tmp_path)
    trees.folder(tmp_path / "val" / "seven", 7, 0, 1)
    with pytest.raises(DataError, match=r"validation split has 1 class\(es\) that training has not: seven"):
        load(tmp_path)


def test_other_files_are_named_and_hidden_ones_are_not(tmp_path: Path) -> None:
    trees.tree(tmp_path)
    for name in ("notes.txt", ".DS_Store"):
        (tmp_path / "train" / "0" / name).write_bytes(b"x")
    found = load(tmp_path)
    assert found.notes == ("1 file(s) are no pictures and are ignored: train/0/notes.txt",)
    assert len(found.train) == 16


def two_small_classes(root: Path) -> None:
    for name in "ab":
        trees.folder(root / name, 1, 0, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "holds no pictures"),
        (lambda root: (root / "a.txt").write_text("x"), "such as a.txt"),
        (lambda root: (root / "a.png").write_bytes(b"x"), "and no class folders"),
        (lambda root: trees.folder(root / "cats", 1, 0, 5), r"has 1 class \(cats\)"),
        (two_small_classes, "leaves no pictures for the validation"),
    ],
)
def test_unusable_trees_are_refused_with_what_to_do(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_absent_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing-here does not exist"):
        load(tmp_path / "nothing-here")


def test_imagenet_is_read_as_it_is(tmp_path: Path) -> None:
    base = tmp_path / "ILSVRC" / "Data" / "CLS-LOC"
    for number, synset in enumerate(("n01440764", "n01443537")):
        trees.folder(base / "train" / synset, number, 0, 3)
    for part in ("val", "test"):
        (base / part).mkdir()
        for index in range(4):
            name = f"ILSVRC2012_{part}_{index:08}.JPEG"
            (base / part / name).write_bytes(trees.digit(index % 2, 10 + index))
    rows = [
        f"ILSVRC2012_val_{index:08},{('n01440764', 'n01443537')[index % 2]} 1 2 3 4 " for index in range(4)
    ]
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]))
    (tmp_path / "LOC_synset_mapping.txt").write_text(
        "n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius\n"
    )
    found = load(tmp_path)
    assert found.classes == ("tench", "goldfish")
    assert [len(found.split(name)) for name in SPLITS] == [6, 2, 2]
    assert names(found.test)[0].startswith("ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_")


def test_labels_may_be_given_in_a_file(tmp_path: Path) -> None:
    trees.tree(tmp_path / "data")
    (tmp_path / "labels.txt").write_text("zero\none\n")
    assert load(tmp_path / "data", labels=tmp_path / "labels.txt").classes == ("zero", "one")


def test_a_listing_changes_its_fingerprint_with_a_file(tmp_path: Path) -> None:
    before = load(trees.tree(tmp_path)).fingerprint()
    (tmp_path / "train" / "0" / "new.png").write_bytes(trees.digit(0, 60))
    assert load(tmp_path).fingerprint() != before


def test_a_labels_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    trees.tree(tmp_path / "data")
    with pytest.raises(DataError, match=r"gone\.txt cannot be read: No such file"):
        load(tmp_path / "data", labels=tmp_path / "gone.txt")
