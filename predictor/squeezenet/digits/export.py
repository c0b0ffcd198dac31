"""Writes the digits as a tree of pictures, with the split that the built-in network was trained with."""

from __future__ import annotations

from pathlib import Path

from squeezenet.digits.data import Subset, load
from squeezenet.errors import ConfigError

SEED = 0


def export(folder: Path) -> None:
    """Writes ``folder/{train,val,test}/<digit>/<number>.png``. Raises ConfigError where it is not empty."""
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: name a new folder.")
    digits = load(SEED)
    for name, subset in (("train", digits.train), ("val", digits.validation), ("test", digits.test)):
        _write(subset, folder / name)


def _write(subset: Subset, folder: Path) -> None:
    for number, (picture, digit) in enumerate(zip(subset.pictures(), subset.classes, strict=True)):
        target = folder / str(digit) / f"{number:04}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(picture)
