"""What the runs of this checkout have shown: a JSON file and plots for each, and one page of them all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from load import figures, plots
from load.running import Run
from load.truth import ALLOWED_SECONDS

from bench.plan import OUT

FOLDER = OUT / "load"
SUMMARY = OUT / "load.json"
Json = dict[str, Any]


@dataclass
class Result:
    """The figures of one scenario, and which promises it has seen broken."""

    name: str
    figures: Json
    broken: list[str] = field(default_factory=list)


def result(name: str, run: Run, more: Json | None = None, *, allow_failures: bool = False) -> Result:
    """The figures of a run, its plots drawn, and the promises that every run is held to."""
    found = figures.of_requests(run.requests) | figures.of_samples(run.samples) | (more or {})
    plots.over_time(FOLDER / f"{name}.svg", name, run.requests, run.samples, run.marks)
    broken = []
    if found["failed"] and not allow_failures:
        broken.append(f"{name}: {found['failed']} requests failed: {found['failures']}")
    if found["status_wrong_seconds"] > ALLOWED_SECONDS:
        broken.append(
            f"{name}: the status was wrong for {found['status_wrong_seconds']} s: {found['status_wrong']}"
        )
    return Result(name, found, broken)


def write(results: list[Result]) -> None:
    """Writes each result, and the page of all that lie in the folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for one in results:
        (FOLDER / f"{one.name}.json").write_text(
            json.dumps(one.figures | {"broken": one.broken}, indent=2) + "\n"
        )
    SUMMARY.write_text(json.dumps(summary(results), indent=2) + "\n")
    (FOLDER / "report.md").write_text(page(FOLDER))


def summary(results: list[Result]) -> Json:
    """The sums and extremes over the results."""
    every = [one.figures for one in results]
    scaled = [one["seconds_to_scale"] for one in every if one.get("seconds_to_scale") is not None]
    return {
        "requests": sum(one["requests"] for one in every),
        "failed": sum(one["failed"] for one in every),
        "shed": sum(one["shed"] for one in every),
        "min_replicas": min((one["min_replicas"] for one in every), default=0),
        "max_replicas": max((one["max_replicas"] for one in every), default=0),
        "seconds_to_scale": max(scaled, default=None),
        "status_wrong_seconds": max((one["status_wrong_seconds"] for one in every), default=0.0),
        "broken": [broken for one in results for broken in one.broken],
        "scenarios": {one.name: one.figures for one in results},
    }


def page(folder: Path) -> str:
    """A Markdown page with the figures and plots of every scenario in a folder."""
    columns = (
        "requests",
        "failed",
        "shed",
        "p50_ms",
        "p99_ms",
        "min_replicas",
        "max_replicas",
        "status_wrong_seconds",
    )
    lines = ["# Under load", "", f"| scenario | {' | '.join(columns)} |", f"| --- {'| --- ' * len(columns)}|"]
    files = sorted(folder.glob("*.json"))
    for file in files:
        found = json.loads(file.read_text())
        lines.append(f"| {file.stem} | {' | '.join(str(found.get(one, '')) for one in columns)} |")
    for file in files:
        found = json.loads(file.read_text())
        rest = {key: value for key, value in found.items() if key not in columns}
        lines += ["", f"## {file.stem}", "", f"![{file.stem}]({file.stem}.svg)", ""]
        lines += ["```json", json.dumps(rest, indent=1), "```"]
    return "\n".join(lines) + "\n"
