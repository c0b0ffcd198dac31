"""A small data set of real pictures, made from what scikit-image and scikit-learn ship.

Each class is one photograph, cut into tiles that do not overlap: the task is to tell which photograph an
unseen tile comes from.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from PIL import Image

PHOTOGRAPHS = {
    "cat": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "astronaut": ("skimage", "data/astronaut.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "galaxies": ("skimage", "data/hubble_deep_field.jpg"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "palace": ("sklearn.datasets", "images/china.jpg"),
    "flower": ("sklearn.datasets", "images/flower.jpg"),
}
GRID = 6


def write(root: Path, names: Sequence[str] = tuple(PHOTOGRAPHS)) -> Path:
    """``root/{train,val,test}/PHOTOGRAPH/*.png``: of each 36 tiles every third validates and every third
    tests.
    """
    for name in names:
        package, path = PHOTOGRAPHS[name]
        photograph = Image.open(io.BytesIO(files(package).joinpath(path).read_bytes())).convert("RGB")
        width, height = photograph.width // GRID, photograph.height // GRID
        for index in range(GRID * GRID):
            row, column = divmod(index, GRID)
            # Diagonals, so that every split has tiles of every region.
            split = ("train", "val", "test")[(row + column) % 3]
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            corner = (column * width, row * height)
            tile = photograph.crop((*corner, corner[0] + width, corner[1] + height))
            tile.save(folder / f"{row}-{column}.png")
    return root
