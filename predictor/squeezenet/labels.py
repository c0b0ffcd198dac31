"""Class labels: reading ``labels.txt`` and ImageNet's thousand names.

ImageNet's list is torchvision's (``torchvision.models._meta``), kept as a file so that it needs no PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from squeezenet.errors import LabelsError

IMAGENET_CLASSES = 1000
MAX_LABELS_BYTES = 16 * 1024 * 1024


@cache
def imagenet() -> tuple[str, ...]:
    """ImageNet-1k's labels by class id."""
    return parse((files("squeezenet") / "data" / "imagenet1k.txt").read_bytes())


def parse(data: bytes) -> tuple[str, ...]:
    """Labels of a ``labels.txt``: UTF-8, one a line, line number = class id; blank lines only at the end."""
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise LabelsError(
            "the labels are not UTF-8 text: save the file as UTF-8, one label a line."
        ) from error
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise LabelsError("the labels are empty: write one label a line, in the order of the class ids.")
    if "" in lines:
        raise LabelsError(f"line {lines.index('') + 1} of the labels is empty: every class needs a label.")
    return tuple(lines)


def default_labels(num_classes: int) -> tuple[str, ...]:
    """Labels where none were given: ImageNet's for 1000 classes, else ``class 0``, ``class 1``, ..."""
    if num_classes == IMAGENET_CLASSES:
        return imagenet()
    return tuple(f"class {index}" for index in range(num_classes))


def check_count(labels: Sequence[str], num_classes: int) -> None:
    """Raises LabelsError unless there is one label a class."""
    if len(labels) != num_classes:
        raise LabelsError(
            f"there are {len(labels)} labels for a network of {num_classes} classes: give one label a class, "
            "in the order of the class ids, or the weights that belong to these labels."
        )
