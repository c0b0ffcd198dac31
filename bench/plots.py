"""Plots of one run, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.report import of_limit, peers_of_limit, rate

Json = dict[str, Any]
OURS = "#2a7ae2"
COLOURS = {"torch": "#e2a02a", "openvino": "#7fb88a", "bf16": OURS}


def draw(results: Json, folder: Path) -> None:
    """throughput.svg, breakdown.svg and two-cores.svg, and gateway.svg where it was measured."""
    _throughput(results, folder / "throughput.svg")
    _bars(
        folder / "breakdown.svg",
        results["breakdown_ms"],
        "ms of one request alone (median, logarithmic)",
        fmt="%.2f",
        logarithmic=True,
    )
    _bars(folder / "two-cores.svg", _two_cores(results), "two cores as a multiple of one", mark=2.0)
    if "gateway" in results["gateway"]:
        rates = {way: rate(one) for way, one in results["gateway"].items()}
        _bars(folder / "gateway.svg", rates, "right answers a second of one pod (digits)", fmt="%.0f")


def _throughput(results: Json, file: Path) -> None:
    """Everybody as a share of the limit."""
    picture = next(iter(results["ours"]["pictures"]))
    peers = peers_of_limit(results["peers"])
    bars = {"SqueezeServe": of_limit(results["ours"]["pictures"][picture]), **peers}
    colours = [OURS, *(COLOURS[results["peers"][title]["engine"]] for title in peers)]
    label = f"right answers a second on one core, of the loop without a server ({picture} JPEG)"
    _bars(file, bars, label, colours, mark=1.0)


def _two_cores(results: Json) -> dict[str, float]:
    return {
        "SqueezeServe, beside the load generator": results["two_cores_vs_one"],
        "loop without a server": results["two_cores_limit_vs_one"],
    }


def _bars(
    file: Path,
    bars: Mapping[str, float],
    label: str,
    colours: Sequence[str] | str = OURS,
    *,
    fmt: str = "%.2f",
    mark: float | None = None,
    logarithmic: bool = False,
) -> None:
    """A horizontal bar for each name, the first on top; `mark` is a dashed line."""
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(bars) + 1))
    containers = axes.barh(list(bars), list(bars.values()), color=colours)
    _decorate(axes, label, mark)
    if logarithmic:
        axes.set_xscale("log")
    axes.bar_label(containers, fmt=fmt, padding=3)
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)


def _decorate(axes: Axes, label: str, mark: float | None) -> None:
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.margins(x=0.1)
    axes.spines[["top", "right"]].set_visible(False)
    if mark is not None:
        axes.axvline(mark, color="#999999", linestyle="--")
