"""Small data sets of real pictures, made from what scikit-image and scikit-learn ship.

Each class is a photograph, or a region of one, cut into tiles that do not overlap: the task is to tell where
an unseen tile comes from.
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
    "tissue": ("skimage", "data/ihc.png"),
    "retina": ("skimage", "data/retina.jpg"),
}
EIGHT = tuple(PHOTOGRAPHS)[:8]
GRID = 6
Regions = tuple[int, int]


def write(root: Path, names: Sequence[str] = EIGHT, regions: Regions = (1, 1), grid: int = GRID) -> Path:
    """``root/{train,val,test}/CLASS/*.png``: every third tile validates and every third tests.

    ``regions``: columns and rows of regions that each photograph is divided into, a class each; each region
    has ``grid`` x ``grid`` tiles.
    """
    for name in names:
        package, path = PHOTOGRAPHS[name]
        photograph = Image.open(io.BytesIO(files(package).joinpath(path).read_bytes())).convert("RGB")
        for number, region in enumerate(_cut(photograph, *regions)):
            label = name if regions == (1, 1) else f"{name}-{number}"
            for index, tile in enumerate(_cut(region, grid, grid)):
                row, column = divmod(index, grid)
                # Diagonals, so that every split has tiles of every part.
                split = ("train", "val", "test")[(row + column) % 3]
                folder = root / split / label
                folder.mkdir(parents=True, exist_ok=True)
                tile.save(folder / f"{row}-{column}.png")
    return root


def _cut(picture: Image.Image, columns: int, rows: int) -> list[Image.Image]:
    """Equal parts, row by row."""
    width, height = picture.width // columns, picture.height // rows
    corners = [(column * width, row * height) for row in range(rows) for column in range(columns)]
    return [picture.crop((left, top, left + width, top + height)) for left, top in corners]
