"""Draws a dashboard from Prometheus' answers, laid out as Grafana would, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox

from dashboards.answers import Panel, Prometheus, Series

COLUMNS = 24
CELL_INCHES = (0.72, 0.42)
MARGIN_CELLS = (0.9, 1.3)
"""Left and below each panel, for its axes."""
MAX_LABELS = 6
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def draw(title: str, panels: Sequence[Panel], prometheus: Prometheus, file: Path) -> None:
    """Writes a PNG. Raises QueryError where a query fails."""
    rows = max(y + height for _, y, _, height in (panel.place for panel in panels))
    size = (COLUMNS * CELL_INCHES[0], (rows + 1) * CELL_INCHES[1])
    figure = plt.figure(figsize=size, dpi=80)
    figure.suptitle(title, x=0.01, y=1 - 0.2 / size[1], ha="left", va="top", fontweight="bold")
    for panel in panels:
        x, y, width, height = panel.place
        left, below = MARGIN_CELLS
        axes = figure.add_axes(
            (
                (x + left) / COLUMNS,
                (rows - y - height + below) / (rows + 1),
                (width - left - 0.2) / COLUMNS,
                (height - below - 0.9) / (rows + 1),
            )
        )
        axes.set_title(panel.title, fontsize=8, loc="left")
        {"timeseries": _lines, "stat": _number, "table": _table}[panel.kind](
            axes, panel, prometheus.answer(panel)
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
    plt.close(figure)


def shown(value: float, unit: str) -> str:
    """A value in its unit, as briefly as Grafana shows it."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s"
    suffix = {"bytes": "B", "reqps": "/s", "ops": "/s", "cps": "/s"}.get(unit, "")
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{suffix}"
    return f"{value:.3g} {suffix}".strip()


def _lines(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    end = max((one.times[-1] for one in series), default=0.0)
    if panel.stacked and series:
        times = sorted({at for one in series for at in one.times})
        known = [dict(zip(one.times, one.values, strict=True)) for one in series]
        heights = [[values.get(at, 0.0) for at in times] for values in known]
        axes.stackplot([at - end for at in times], heights, labels=[one.name for one in series], alpha=0.6)
    else:
        for one in series:
            axes.plot([at - end for at in one.times], one.values, label=one.name, linewidth=1.2)
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, panel.unit)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} s"))
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles[:MAX_LABELS], labels[:MAX_LABELS], fontsize=6, loc="upper left", framealpha=0.6)


def _number(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    axes.axis("off")
    text = ", ".join(shown(one.values[-1], panel.unit) for one in series)
    axes.text(0.5, 0.5, text, fontsize=18, ha="center", va="center")


def _table(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    axes.axis("off")
    cells = [[one.labels.get(label, "")[:32] for label in panel.columns] for one in series]
    if cells:
        height = min(1.0, 0.14 * (len(cells) + 1))
        headings = list(panel.columns.values())
        table = axes.table(
            cells, colLabels=headings, cellLoc="left", bbox=Bbox.from_bounds(0, 1 - height, 1, height)
        )
        table.auto_set_font_size(False)
        table.set_fontsize(7)
