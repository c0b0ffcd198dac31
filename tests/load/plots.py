"""Plots of runs under load, as SVG: requests, latency, replicas and errors over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from load.sampling import Sample
from load.sending import Outcome, Request
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

BIN_SECONDS = 2.0
BLUE, ORANGE, RED, GREY = "#2a7ae2", "#e2a02a", "#c0392b", "#888888"
Floats = NDArray[np.float64]


def over_time(
    file: Path,
    title: str,
    requests: Sequence[Request],
    samples: Sequence[Sample],
    marks: Mapping[str, float] | None = None,
) -> None:
    """Four plots below each other; `marks` are events, as monotonic seconds by their name."""
    began = min([one.due for one in requests] + [one.at for one in samples])
    figure, axes = plt.subplots(4, sharex=True, figsize=(9, 8), height_ratios=(2, 2, 1.2, 1))
    _rates(axes[0], requests, began)
    _latencies(axes[1], requests, began)
    _replicas(axes[2], samples, began)
    _errors(axes[3], requests, began)
    axes[0].set_title(title)
    axes[3].set_xlabel("seconds")
    for at in (marks or {}).values():
        for one in axes:
            one.axvline(at - began, color=GREY, linewidth=0.6, linestyle=":")
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    _save(figure, file)


def compared(file: Path, by_name: Mapping[str, Mapping[str, Any]]) -> None:
    """Bars of p50, p99, right answers a second and replica-seconds, by name."""
    figures = {
        "p50, ms": "p50_ms",
        "p99, ms": "p99_ms",
        "answers a second": "per_second",
        "replica-seconds": "replica_seconds",
        "requested CPU-seconds": "requested_cpu_seconds",
    }
    figure, axes = plt.subplots(1, len(figures), figsize=(12, 2.8))
    for one, (label, key) in zip(axes, figures.items(), strict=True):
        bars = one.bar(list(by_name), [float(value[key]) for value in by_name.values()], color=BLUE)
        one.bar_label(bars, fmt="%.4g", padding=2, fontsize=8)
        one.set_title(label, fontsize=10)
        one.margins(y=0.15)
        one.tick_params(axis="x", labelrotation=20, labelsize=8)
        one.spines[["top", "right"]].set_visible(False)
    _save(figure, file)


def _rates(axes: Axes, requests: Sequence[Request], began: float) -> None:
    due = _array([one.due - began for one in requests])
    right = _array([one.due + one.seconds - began for one in requests if one.outcome is Outcome.RIGHT])
    for times, label, colour in ((due, "due", GREY), (right, "right answers", BLUE)):
        edges, counts = _counted(times)
        axes.step(edges, counts / BIN_SECONDS, where="post", label=label, color=colour)
    axes.set_ylabel("requests/s")
    axes.legend(frameon=False, fontsize=8)


def _latencies(axes: Axes, requests: Sequence[Request], began: float) -> None:
    right = [one for one in requests if one.outcome is Outcome.RIGHT]
    due, ms = _array([one.due - began for one in right]), _array([1000 * one.seconds for one in right])
    bins = np.floor(due / BIN_SECONDS).astype(np.int64)
    present = np.unique(bins)
    for share, colour in ((50, BLUE), (99, ORANGE)):
        values = [float(np.percentile(ms[bins == one], share)) for one in present]
        axes.plot(present * BIN_SECONDS, values, label=f"p{share}", color=colour)
    axes.set_yscale("log")
    axes.set_ylabel("ms since due")
    axes.legend(frameon=False, fontsize=8)


def _replicas(axes: Axes, samples: Sequence[Sample], began: float) -> None:
    read = [(sample.at - began, sample.said) for sample in samples if sample.said is not None]
    times = [at for at, _ in read]
    axes.step(times, [said.wanted for _, said in read], where="post", label="wanted", color=GREY)
    axes.step(times, [said.ready for _, said in read], where="post", label="ready", color=BLUE)
    axes.set_ylabel("replicas")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)


def _errors(axes: Axes, requests: Sequence[Request], began: float) -> None:
    for outcome, colour in ((Outcome.SHED, ORANGE), (Outcome.FAILED, RED)):
        times = _array([one.due - began for one in requests if one.outcome is outcome])
        edges, counts = _counted(times)
        axes.step(edges, counts, where="post", label=f"{outcome} ({len(times)})", color=colour)
    axes.set_ylabel("errors")
    axes.legend(frameon=False, fontsize=8)


def _counted(times: Floats) -> tuple[Floats, Floats]:
    """The left edges of the bins and how many times fall into each."""
    edges = np.arange(0.0, (times.max() if len(times) else 0.0) + 2 * BIN_SECONDS, BIN_SECONDS)
    counts, _ = np.histogram(times, edges)
    return edges[:-1], counts.astype(np.float64)


def _array(values: Sequence[float]) -> Floats:
    return np.array(values, np.float64)


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)
