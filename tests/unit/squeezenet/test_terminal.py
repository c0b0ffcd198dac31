"""Terminal output: sizes, colours, and no control characters from labels."""

from __future__ import annotations

import re

import pytest
from PIL import Image
from squeezenet.classify import Prediction
from squeezenet.terminal import HALF_BLOCK, columns, printable, render_picture, render_predictions

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize(
    ("size", "width", "lines"),
    [((100, 100), 40, 20), ((200, 100), 40, 10), ((1, 65000), 40, 40), ((65000, 1), 40, 1)],
)
def test_picture_keeps_its_aspect_within_bounds(size: tuple[int, int], width: int, lines: int) -> None:
    rows = render_picture(Image.new("RGB", size), width).split("\n")
    assert len(rows) == lines
    assert {len(ANSI.sub("", row)) for row in rows} == {1 if size[0] == 1 else width}
    assert all(row.endswith("\x1b[0m") for row in rows)


def test_upper_and_lower_half_have_their_own_colour() -> None:
    image = Image.new("RGB", (1, 2))
    image.putdata([(1, 2, 3), (4, 5, 6)])
    assert render_picture(image, 1) == f"\x1b[38;2;1;2;3;48;2;4;5;6m{HALF_BLOCK}\x1b[0m"


def test_width_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        render_picture(Image.new("RGB", (4, 4)), 0)


@pytest.mark.parametrize("width", [1, 20, 33, 80, 200])
def test_predictions_fit_the_width(width: int) -> None:
    predictions = [
        Prediction(0, "a label far too long for a narrow terminal", 0.9),
        Prediction(1, "猫" * 30, 0.1),
    ]
    for colour in (True, False):
        text = render_predictions(predictions, width, colour=colour)
        assert ("\x1b" in text) == colour
        assert {columns(ANSI.sub("", line)) for line in text.split("\n")} <= set(range(max(20, width) + 1))


def test_bar_length_is_the_probability() -> None:
    full, half, none = render_predictions(
        [Prediction(0, "a", 1.0), Prediction(1, "b", 0.5), Prediction(2, "c", 0.0)], 50, colour=False
    ).split("\n")
    assert full.count("█") == 2 * half.count("█") + (full.count("█") % 2)
    assert "█" not in none
    assert full.endswith(" 100.0%")


def test_no_predictions_give_no_text() -> None:
    assert render_predictions([], 80) == ""


def test_control_characters_are_replaced() -> None:
    assert printable("a\x1b[31mb\nc\u202e") == "a�[31mb�c�"
