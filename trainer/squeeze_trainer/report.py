"""The report page of a run: one HTML file with everything in it, and the confusion matrix as a picture
beside it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from squeezenet.artifact import Artifact

from squeeze_trainer.evaluate import Evaluation
from squeeze_trainer.metrics import BINS, Counts, Measures
from squeeze_trainer.state import State

PAGE, CONFUSION = "index.html", "confusion.png"
_NAMED_CLASSES = 30
_BLUE, _ORANGE = "#2563eb", "#d97706"


def write(
    folder: Path, artifact: Artifact, labels: Sequence[str], state: State, evaluation: Evaluation | None
) -> Path:
    """Writes the page and the picture, and returns the page's path. ``evaluation``: of the test split."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"curves": curves(state)}
    measures = None
    if evaluation is not None:
        measures = evaluation.measures
        figures["calibration"] = calibration(evaluation.counts)
        figures["confusion"] = confusion(evaluation.counts.confusion, labels)
        (folder / CONFUSION).write_bytes(figures["confusion"])
    page = folder / PAGE
    page.write_text(_html(artifact, labels, state, measures, figures))
    return page


def curves(state: State) -> bytes:
    """A PNG: the loss of training and validation, and validation's right answers, over the iterations."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    loss, right = figure.subplots(1, 2)
    loss.plot(
        [p.iteration for p in state.curve], [p.loss for p in state.curve], color=_BLUE, label="training", lw=1
    )
    at = [v.iteration for v in state.validations]
    loss.plot(at, [v.loss for v in state.validations], "o-", color=_ORANGE, label="validation", ms=3)
    loss.set(xlabel="iteration", ylabel="loss, nats", ylim=(0, None))
    loss.legend(frameon=False)
    right.plot(at, [100 * v.top1 for v in state.validations], "o-", color=_ORANGE, label="top-1", ms=3)
    right.plot(at, [100 * v.top5 for v in state.validations], "--", color=_BLUE, label="top-5")
    if state.best is not None:
        right.axvline(state.best.iteration, color="grey", lw=0.8, ls=":", label="best, kept")
    right.set(xlabel="iteration", ylabel="validation, %", ylim=(0, 102))
    right.legend(frameon=False, loc="lower right")
    return _png(figure)


def confusion(table: NDArray[np.int64], labels: Sequence[str]) -> bytes:
    """A PNG of counts [C, C]: rows the true class, columns the answer, shaded by the share of the row."""
    classes = len(labels)
    side = min(14.0, 2.5 + 0.35 * classes)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    shares = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="answer", ylabel="true class")
    if classes <= _NAMED_CLASSES:
        axes.set_xticks(range(classes), [_short(label) for label in labels], rotation=90)
        axes.set_yticks(range(classes), [_short(label) for label in labels])
        for row, column in zip(*np.nonzero(table), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(
                column, row, str(table[row, column]), ha="center", va="center", color=colour, fontsize=8
            )
    return _png(figure)


def calibration(counts: Counts) -> bytes:
    """A PNG: how often answers of each confidence were right; on the diagonal confidence can be taken at
    its word.
    """
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.subplots()
    pictures, right, _ = counts.bins
    centres = (np.arange(BINS) + 0.5) / BINS
    axes.plot([0, 1], [0, 1], color="grey", lw=0.8, ls=":")
    axes.bar(centres, right / np.maximum(1, pictures), width=0.9 / BINS, color=_BLUE)
    axes.set(xlabel="confidence", ylabel="share of right answers", xlim=(0, 1), ylim=(0, 1))
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _short(label: str) -> str:
    # A dollar sign would begin a formula.
    text = label.replace("$", r"\$")
    return text if len(text) <= 24 else text[:23] + "…"


def _html(
    artifact: Artifact,
    labels: Sequence[str],
    state: State,
    measures: Measures | None,
    figures: dict[str, bytes],
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("squeeze_trainer"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["percent"] = lambda share: "–" if share is None else f"{share:.2%}"
    return environment.get_template("report.html").render(
        artifact=artifact,
        state=state,
        measures=measures,
        classes=_rows(labels, measures) if measures else [],
        figures={name: base64.b64encode(data).decode() for name, data in figures.items()},
        provenance=_flat(dict(artifact.config.provenance)),
    )


def _rows(labels: Sequence[str], measures: Measures) -> list[dict[str, Any]]:
    """One row a class, the worst recall first."""
    rows = [
        {"label": label, "precision": precision, "recall": recall, "pictures": pictures}
        for label, precision, recall, pictures in zip(
            labels, measures.precision, measures.recall, measures.support, strict=True
        )
    ]
    return sorted(rows, key=lambda row: 2.0 if row["recall"] is None else row["recall"])


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested JSON as one level, with dots between the names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
