"""Pictures and predictions as text for a terminal. Pure: values in, a string out.

A picture is drawn in half blocks: each character is two pixels, the upper in the foreground colour and the
lower in the background colour (24-bit ANSI colours).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from PIL import Image

from squeezenet.classify import Prediction

HALF_BLOCK = "▀"
RESET = "\x1b[0m"
BAR, BAR_COLOUR = "█", "\x1b[36m"
_PARTS = " ▏▎▍▌▋▊▉"
_PERCENT_WIDTH = 7  # " 100.0%"
_MAX_ROWS = 40


def render_picture(image: Image.Image, width: int) -> str:
    """The picture, ``width`` characters wide and at most 40 lines high, its aspect ratio kept.

    Every line ends with a colour reset, the last without a newline. Raises ValueError for width below 1.
    """
    if width < 1:
        raise ValueError(f"width is {width}: it must be at least 1")
    scale = min(width / image.width, 2 * _MAX_ROWS / image.height)
    columns = min(width, max(1, round(image.width * scale)))
    rows = min(_MAX_ROWS, max(1, round(image.height * scale / 2)))
    # The box filter averages, so that a ribbon shrinks in bounded time and memory.
    pixels = np.asarray(image.convert("RGB").resize((columns, 2 * rows), Image.Resampling.BOX))
    return "\n".join(_line(pixels[2 * row], pixels[2 * row + 1]) for row in range(rows))


def _line(
    upper: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    lower: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> str:
    cells = (
        f"\x1b[38;2;{top[0]};{top[1]};{top[2]};48;2;{bottom[0]};{bottom[1]};{bottom[2]}m{HALF_BLOCK}"
        for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True)
    )
    return "".join(cells) + RESET


def render_predictions(predictions: Sequence[Prediction], width: int, *, colour: bool = True) -> str:
    """One line a prediction: label, bar, per cent; no line wider than ``width`` columns (at least 20)."""
    width = max(20, width)
    labels = [printable(prediction.label) for prediction in predictions]
    label_width = min(max((columns(label) for label in labels), default=0), (width - _PERCENT_WIDTH) // 2)
    bar_width = width - label_width - _PERCENT_WIDTH - 1
    lines = []
    for label, prediction in zip(labels, predictions, strict=True):
        bar = _bar(prediction.probability, bar_width)
        drawn = f"{BAR_COLOUR}{bar}{RESET}" if colour else bar
        lines.append(f"{_fitted(label, label_width)} {drawn}{prediction.probability:7.1%}")
    return "\n".join(lines)


def printable(text: str) -> str:
    """The text without control characters, so that a label or a file name cannot steer the terminal."""
    return "".join("�" if unicodedata.category(character)[0] == "C" else character for character in text)


def columns(text: str) -> int:
    """The terminal columns a text takes: wide East Asian characters two, combining marks none."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fitted(label: str, width: int) -> str:
    """The label cut to ``width`` columns, the cut shown by an ellipsis, and padded to that width."""
    if columns(label) > width:
        while columns(label) > width - 1:
            label = label[:-1]
        label += "…"
    return label + " " * (width - columns(label))


def _bar(share: float, width: int) -> str:
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    full, part = divmod(eighths, 8)
    return (BAR * full + (_PARTS[part] if part else "")).ljust(width)
