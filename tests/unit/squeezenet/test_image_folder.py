"""Folders of labelled pictures: how names become classes, and what is refused."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from squeezenet import image_folder
from squeezenet.errors import ConfigError, PictureError
from squeezenet.sources import BUILTIN

SEVEN = BUILTIN / "digits" / "samples" / "7.png"
LABELS = ("ant", "bee", "crane", "crane", "9", "0")


def tree(root: Path, *names: str) -> Path:
    """Pictures at these paths."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SEVEN, root / name)
    return root


def test_folders_are_labels_or_class_ids(tmp_path: Path) -> None:
    tree(tmp_path, "ant/1.png", "1/2.JPG", "3/3.webp", "9/4.png", ".cache/5.png", "ant/notes.txt")
    found = image_folder.load(tmp_path, LABELS)
    assert sorted((Path(each.name).name, each.class_id) for each in found) == [
        ("1.png", 0),
        ("2.JPG", 1),
        ("3.webp", 3),
        ("4.png", 4),
    ]
    assert found[0].read() == SEVEN.read_bytes()


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (["fox/1.png"], "fox: the model has no label 'fox', and that is no class id up to 5"),
        (["6/1.png"], "6: the model has no label '6'"),
        (["²/1.png"], "the model has no label"),
        (["crane/1.png"], "crane: classes 2, 3 have this label; name the folder by the class id"),
        (["ant/1.png", "loose.png"], "loose.png lies in no class"),
        (["ant/notes.txt"], "holds no picture"),
        ([], "holds no picture"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, names: list[str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        image_folder.load(tree(tmp_path, *names), LABELS)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent cannot be read"):
        image_folder.load(tmp_path / "absent", LABELS)
    with pytest.raises(PictureError, match="cannot be read"):
        image_folder.read(tmp_path / "absent.png")


def test_pictures_come_evenly_over_the_classes_and_by_the_seed(tmp_path: Path) -> None:
    tree(tmp_path, *(f"ant/{n}.png" for n in range(20)), *(f"bee/{n}.png" for n in range(3)), "0/0.png")
    found = image_folder.load(tmp_path, LABELS)
    order = list(image_folder.evenly(found, seed=0))
    assert sorted(each.name for each in order) == sorted(each.name for each in found)
    assert Counter(each.class_id for each in order[:7]) == {0: 3, 1: 3, 5: 1}
    assert [each.name for each in image_folder.evenly(found, seed=0)] == [each.name for each in order]
    assert [each.name for each in image_folder.evenly(found, seed=1)] != [each.name for each in order]
