"""Ratios, a markdown table and plots from the figures of one run. Pure, apart from writing the plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Json = dict[str, Any]


def ratios(results: Json) -> Json:
    """What the figures mean side by side; None where a part was not measured.

    Each rate is first related to the limit of its own minutes, since a shared machine changes its speed.
    """
    name = next(iter(results["ours"]["pictures"]))
    ours, ours_of_limit = results["ours"], of_limit(results["ours"]["pictures"][name])
    peers = _peers_of_limit(results)
    documented = [value for title, value in peers.items() if title.endswith("torch")]
    same_engine = [value for title, value in peers.items() if title.endswith("openvino")]
    alone, steady = ours["pictures"][name]["1"], ours["open_70_percent"]
    fastapi = results["peers"].get("FastAPI, torch", {}).get("first_answer_s")
    return {
        "throughput_vs_limit": ours_of_limit,
        "throughput_vs_limit_by_protocol": {
            protocol: of_limit(figures) for protocol, figures in ours["protocols"].items()
        },
        "throughput_vs_best_peer": ours_of_limit / max(documented) if documented else None,
        "throughput_vs_best_peer_same_engine": ours_of_limit / max(same_engine) if same_engine else None,
        "two_cores_vs_one": of_limit(results["ours_two_cores"]["pictures"][name]) / ours_of_limit,
        "p50_alone_vs_limit": alone["p50_ms"] * alone["limit_beside"] / 1000,
        "p99_vs_p50_at_70_percent": steady["p99_ms"] / steady["p50_ms"],
        "goodput_at_3x_vs_capacity": ours["overload_3x"]["per_second"] / rate(ours["pictures"][name]),
        "start_vs_fastapi_torch": ours["first_answer_s"] / fastapi if fastapi else None,
    }


def rate(by_concurrency: Json) -> float:
    """The highest rate of right answers over the concurrencies."""
    return float(max(one["per_second"] for one in by_concurrency.values()))


def of_limit(by_concurrency: Json) -> float:
    """The highest share of the limit that was measured beside it, over the concurrencies."""
    return float(max(one["per_second"] / one["limit_beside"] for one in by_concurrency.values()))


def _peers_of_limit(results: Json) -> dict[str, float]:
    """Each peer that ran, as a share of the limit."""
    ran = {title: one for title, one in results["peers"].items() if "failed" not in one}
    return {title: of_limit(one["concurrency"]) for title, one in ran.items()}


def fastest_loop(results: Json, picture: str) -> str:
    """The name of the fastest loop without a server."""
    found: dict[str, float] = results["limit"]["loops_per_s"][picture]
    return max(found, key=lambda name: found[name])


def table(results: Json) -> str:
    """The whole run as markdown."""
    machine = results["machine"]
    sets = ", ".join(machine["instruction_sets"]) or "none of note"
    sections = [
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; {sets}; "
        f"Python {machine['python']}; {machine['date']}. Weights: {results['weights']}.",
        _ratio_rows(results),
        _by_picture("loop on one core, pictures/s", results["limit"]["loops_per_s"], 1),
        _by_picture("part, ms", results["limit"]["parts_ms"], 2),
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


def _by_picture(title: str, figures: Json, decimals: int) -> str:
    """A row for each name, a column for each picture."""
    rows = [(title, *figures)]
    for name in next(iter(figures.values())):
        rows.append((name, *(f"{one[name]:.{decimals}f}" for one in figures.values())))
    return _markdown(rows)


def _protocol_rows(results: Json) -> str:
    rows = [("SqueezeServe, one core", "pictures/s", "of the limit", "p50 alone, ms", "CPU ms")]
    for name, figures in results["ours"]["protocols"].items():
        alone = figures["1"]
        rows.append(
            (
                name,
                f"{rate(figures):.1f}",
                f"{of_limit(figures):.2f}",
                f"{alone['p50_ms']:.1f}",
                f"{alone['cpu_ms']:.1f}",
            )
        )
    return _markdown(rows)


def _server_rows(results: Json) -> str:
    ours = results["ours"]
    picture = next(iter(ours["pictures"]))
    rows = [
        (
            "server, one core",
            "pictures/s",
            "of the limit",
            "p50 / p99 alone, ms",
            "p99 in the most, ms",
            "MB",
            "start, s",
        )
    ]
    everybody = {
        "SqueezeServe, openvino": ours | {"concurrency": ours["pictures"][picture]},
        **results["peers"],
    }
    for title, one in everybody.items():
        if "failed" in one:
            rows.append((title, one["failed"], "", "", "", "", ""))
            continue
        most = list(one["concurrency"].values())[-1]
        alone = one["concurrency"]["1"]
        rows.append(
            (
                title,
                f"{rate(one['concurrency']):.1f}",
                f"{of_limit(one['concurrency']):.2f}",
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
    """Throughput of everybody as a share of the limit, as throughput.svg."""
    picture = next(iter(results["ours"]["pictures"]))
    bars = {"SqueezeServe": of_limit(results["ours"]["pictures"][picture]), **_peers_of_limit(results)}
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(bars) + 1))
    colours = ["#2a7ae2"] + ["#e2a02a" if title.endswith("torch") else "#7fb88a" for title in list(bars)[1:]]
    axes.barh(list(bars), list(bars.values()), color=colours)
    axes.invert_yaxis()
    axes.bar_label(axes.containers[0], fmt="%.2f", padding=3)
    axes.set_xlabel(f"right answers a second on one core, of the loop without a server ({picture} JPEG)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.axvline(1, color="#999999", linestyle="--")
    figure.tight_layout()
    figure.savefig(folder / "throughput.svg")
    plt.close(figure)
