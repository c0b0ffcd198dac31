"""One run as a table and a plot. Pure, apart from the file of the plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Json = dict[str, Any]


def table(results: Json) -> str:
    """The figures as Markdown."""
    machine, begun, rest = results["machine"], results["from_nothing"], results["at_rest"]
    changes, again = results["changes"], results["restart"]
    delays = changes["seconds"]
    rows = [
        ("from nothing to all models Ready", f"{begun['wall_seconds']:.1f} s"),
        ("CPU time of that", f"{begun['cpu_seconds']:.1f} s"),
        ("requests of that, a model", f"{begun['requests'] / machine['models']:.1f}"),
        ("restart until every model was looked at", f"{again['wall_seconds']:.1f} s"),
        ("writes of a restart", f"{again['writes']:.0f}"),
        ("change of a spec to change of its InferenceService, p50", f"{quantile(delays, 0.5):.2f} s"),
        ("the same, p99", f"{quantile(delays, 0.99):.2f} s"),
        ("the same, longest", f"{delays[-1]:.2f} s"),
        ("CPU time of a change", f"{1000 * changes['cpu_seconds_of_a_change']:.0f} ms"),
        ("CPU at rest, of a core", f"{100 * rest['cpu_share']:.1f} %"),
        ("requests at rest, a second", f"{rest['requests_per_second']:.1f}"),
        ("writes at rest", f"{rest['writes']}"),
        (
            "memory at rest; after the changes",
            f"{rest['memory_mib']:.0f} MiB; {changes['memory_mib']:.0f} MiB",
        ),
    ]
    if "deaths" in results:
        watcher, worker = (f"{results['deaths'][part]:.1f} s" for part in ("watcher", "worker"))
        rows.append(("liveness fails after the end of a watcher; a worker", f"{watcher}; {worker}"))
    head = (
        f"{machine['models']} models, {changes['per_second']:.0f} changes a second. {machine['cpu']}, "
        f"{machine['cores']} cores, which the API server and the player of KServe share; {machine['date']}."
    )
    return "\n".join([head, "", "| | measured |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows), ""])


def quantile(ordered: list[float], share: float) -> float:
    """The value below which that share of ascending values lies (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def draw(results: Json, file: Path) -> None:
    """How models become Ready from nothing, and how changes spread in time, side by side."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    left.step(*zip(*results["from_nothing"]["timeline"], strict=True), where="post", color="#2a7ae2")
    left.set(xlabel="seconds since the operator's start", ylabel="models Ready")
    delays = results["changes"]["seconds"]
    shares = [100 * (index + 1) / len(delays) for index in range(len(delays))]
    right.step(delays, shares, where="post", color="#2a7ae2")
    right.set(xlabel="seconds from a change to its InferenceService", ylabel="% of changes")
    for axes in (left, right):
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)
