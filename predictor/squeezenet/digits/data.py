"""scikit-learn's handwritten digits as pictures: rendering and the train, validation and test split.

Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits" (UCI, 1998), in scikit-learn as
``load_digits``: 1797 digits of 8 x 8 cells, ink 0..16.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from squeezenet.config import ArtifactConfig
from squeezenet.errors import ConfigError

LABELS = tuple("0123456789")
# A digit of 72 pixels on a sheet of 96: about the margin that people leave around a digit.
DIGIT_SIDE, SHEET_SIDE = 72, 96
_MAX_INK = 16


@dataclass(frozen=True)
class Subset:
    """Some of the digits: ``cells`` [N, 8, 8] ink 0..16, ``classes`` [N] 0..9."""

    cells: NDArray[np.float64]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.classes)

    def pictures(self, *, light_on_dark: bool = False) -> list[bytes]:
        """Each digit as a PNG file."""
        return [to_png(render(cells, light_on_dark=light_on_dark)) for cells in self.cells]


@dataclass(frozen=True)
class Digits:
    """The three disjoint subsets, each with the classes in equal shares."""

    train: Subset
    validation: Subset
    test: Subset


def load(seed: int) -> Digits:
    """Splits the data set 65 : 15 : 20, stratified by class. The same seed gives the same split."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise ConfigError(
            "the digits come with scikit-learn, which is not installed here: install it."
        ) from error
    data = load_digits()
    indices = np.arange(len(data.target))
    rest, test = train_test_split(indices, test_size=0.2, stratify=data.target, random_state=seed)
    train, validation = train_test_split(
        rest, test_size=0.15 / 0.8, stratify=data.target[rest], random_state=seed
    )
    subsets = (
        Subset(data.images[part], data.target[part].astype(np.int64)) for part in (train, validation, test)
    )
    return Digits(*subsets)


def split_seed(config: ArtifactConfig) -> int:
    """The seed of the split that a network was trained with. Raises ConfigError where it does not say."""
    recipe = config.provenance.get("recipe")
    seed = recipe.get("seed") if isinstance(recipe, dict) else None
    if not isinstance(seed, int):
        raise ConfigError("config.json has no provenance.recipe.seed, so its test split is unknown.")
    return seed


def render(cells: NDArray[np.float64], *, light_on_dark: bool = False) -> Image.Image:
    """One digit [8, 8] as a greyscale picture of 96 x 96 pixels: dark ink on white paper, or the reverse."""
    ink = Image.fromarray(np.round(cells * 255 / _MAX_INK).astype(np.uint8))
    sheet = Image.new("L", (SHEET_SIDE, SHEET_SIDE), 0)
    margin = (SHEET_SIDE - DIGIT_SIDE) // 2
    sheet.paste(ink.resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC), (margin, margin))
    return sheet if light_on_dark else sheet.point(lambda value: 255 - value)


def to_png(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
