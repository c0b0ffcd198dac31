"""Ratios, a markdown table and plots from the figures of one run. Pure, apart from writing the plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Json = dict[str, Any]


def ratios(results: Json) -> Json:
    """What the figures mean side by side; None where a part was not measured."""
    name = next(iter(results["ours"]["pictures"]))
    fastest = best_loop(results, name)
    ours = rate(results["ours"]["pictures"][name])
    peers = {
        title: rate(one["concurrency"]) for title, one in results["peers"].items() if "failed" not in one
    }
    documented = [value for title, value in peers.items() if title.endswith("torch")]
    same_engine = [value for title, value in peers.items() if title.endswith("openvino")]
    alone = results["ours"]["pictures"][name]["1"]["p50_ms"]
    steady = results["ours"]["open_70_percent"]
    starts = {title: one["first_answer_s"] for title, one in results["peers"].items() if "failed" not in one}
    return {
        "throughput_vs_limit": ours / fastest,
        "throughput_vs_limit_by_protocol": {
            protocol: rate(figures) / fastest for protocol, figures in results["ours"]["protocols"].items()
        },
        "throughput_vs_best_peer": ours / max(documented) if documented else None,
        "throughput_vs_best_peer_same_engine": ours / max(same_engine) if same_engine else None,
        "two_cores_vs_one": rate(results["ours_two_cores"]["pictures"][name]) / ours,
        "p50_alone_vs_limit": alone / (1000 / fastest),
        "p99_vs_p50_at_70_percent": steady["p99_ms"] / steady["p50_ms"],
        "goodput_at_3x_vs_capacity": results["ours"]["overload_3x"]["per_second"] / ours,
        "start_vs_fastapi_torch": (
            results["ours"]["first_answer_s"] / starts["FastAPI, torch"]
            if "FastAPI, torch" in starts
            else None
        ),
    }


def rate(by_concurrency: Json) -> float:
    """The highest rate of right answers over the concurrencies."""
    return float(max(one["per_second"] for one in by_concurrency.values()))


def best_loop(results: Json, picture: str) -> float:
    """Pictures a second of the fastest loop without a server."""
    return float(max(results["limit"]["loops_per_s"][picture].values()))


def table(results: Json) -> str:
    """The whole run as markdown."""
    machine = results["machine"]
    sets = ", ".join(machine["instruction_sets"]) or "none of note"
    sections = [
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; {sets}; "
        f"Python {machine['python']}; {machine['date']}. Weights: {results['weights']}.",
        _ratio_rows(results),
        _limit_rows(results),
        _part_rows(results),
        _protocol_rows(results),
        _server_rows(results),
    ]
    return "\n\n".join(sections) + "\n"


def _ratio_rows(results: Json) -> str:
    rows = [("ratio", "value")]
    for name in (
        "throughput_vs_limit",
        "throughput_vs_best_peer",
        "throughput_vs_best_peer_same_engine",
        "two_cores_vs_one",
        "p50_alone_vs_limit",
        "p99_vs_p50_at_70_percent",
        "goodput_at_3x_vs_capacity",
        "start_vs_fastapi_torch",
    ):
        value = results[name]
        rows.append((name, "not measured" if value is None else f"{value:.2f}"))
    return _markdown(rows)


def _limit_rows(results: Json) -> str:
    loops = results["limit"]["loops_per_s"]
    rows = [("loop on one core, pictures/s", *loops)]
    for name in next(iter(loops.values())):
        rows.append((name, *(f"{loops[picture][name]:.1f}" for picture in loops)))
    return _markdown(rows)


def _part_rows(results: Json) -> str:
    parts = results["limit"]["parts_ms"]
    rows = [("part, ms", *parts)]
    for name in next(iter(parts.values())):
        rows.append((name, *(f"{parts[picture][name]:.2f}" for picture in parts)))
    return _markdown(rows)


def _protocol_rows(results: Json) -> str:
    picture = next(iter(results["ours"]["pictures"]))
    limit = best_loop(results, picture)
    rows = [("SqueezeServe, one core", "pictures/s", "of the limit", "p50 alone, ms", "CPU ms")]
    for name, figures in results["ours"]["protocols"].items():
        alone = figures["1"]
        rows.append(
            (
                name,
                f"{rate(figures):.1f}",
                f"{rate(figures) / limit:.2f}",
                f"{alone['p50_ms']:.1f}",
                f"{alone['cpu_ms']:.1f}",
            )
        )
    return _markdown(rows)


def _server_rows(results: Json) -> str:
    ours = results["ours"]
    picture = next(iter(ours["pictures"]))
    rows = [
        ("server, one core", "pictures/s", "p50 / p99 alone, ms", "p99 in the most, ms", "MB", "start, s")
    ]
    everybody = {
        "SqueezeServe, openvino": ours | {"concurrency": ours["pictures"][picture]},
        **results["peers"],
    }
    for title, one in everybody.items():
        if "failed" in one:
            rows.append((title, one["failed"], "", "", "", ""))
            continue
        most = list(one["concurrency"].values())[-1]
        alone = one["concurrency"]["1"]
        rows.append(
            (
                title,
                f"{rate(one['concurrency']):.1f}",
                f"{alone['p50_ms']:.1f} / {alone['p99_ms']:.1f}",
                f"{most['p99_ms']:.0f}",
                f"{one['resident_mb']:.0f}",
                f"{one['first_answer_s']:.1f}",
            )
        )
    return _markdown(rows)


def _markdown(rows: list[tuple[str, ...]]) -> str:
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plots(results: Json, folder: Path) -> None:
    """Throughput of everybody beside the limit, as throughput.svg."""
    picture = next(iter(results["ours"]["pictures"]))
    bars = {
        "limit (no server)": best_loop(results, picture),
        "SqueezeServe": rate(results["ours"]["pictures"][picture]),
    }
    for title, one in results["peers"].items():
        if "failed" not in one:
            bars[title] = rate(one["concurrency"])
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(bars) + 1))
    colours = ["#999999", "#2a7ae2"] + [
        "#e2a02a" if title.endswith("torch") else "#7fb88a" for title in list(bars)[2:]
    ]
    axes.barh(list(bars), list(bars.values()), color=colours)
    axes.invert_yaxis()
    axes.bar_label(axes.containers[0], fmt="%.1f", padding=3)
    axes.set_xlabel(f"right answers a second on one core, {picture} JPEG")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(folder / "throughput.svg")
    plt.close(figure)
