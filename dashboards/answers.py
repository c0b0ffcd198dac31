"""Asks a Prometheus what a dashboard would ask, and says which panels would stay empty."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

POINTS = 120
"""Points of a line."""


@dataclass(frozen=True)
class Panel:
    """What matters of a panel: kind is timeseries, stat or table; place is x, y, width, height in cells."""

    title: str
    kind: str
    unit: str
    stacked: bool
    place: tuple[int, int, int, int]
    queries: tuple[tuple[str, str], ...]
    """Expression and legend of each."""
    columns: Mapping[str, str]
    """Of a table: labels and their headings."""


@dataclass(frozen=True)
class Series:
    """One line: its name, its labels, Unix times and values."""

    name: str
    labels: Mapping[str, str]
    times: tuple[float, ...]
    values: tuple[float, ...]


class QueryError(RuntimeError):
    """Prometheus has refused a query; the text has its words."""


def panels(text: str) -> list[Panel]:
    """The panels of a dashboard's JSON, rows apart."""
    return [_panel(one) for one in json.loads(text)["panels"] if one["type"] != "row"]


def _panel(one: Mapping[str, Any]) -> Panel:
    place, defaults = one["gridPos"], one.get("fieldConfig", {}).get("defaults", {})
    organized = [t["options"] for t in one.get("transformations", []) if t["id"] == "organize"]
    return Panel(
        title=one["title"],
        kind=one["type"],
        unit=defaults.get("unit", "short"),
        stacked="stacking" in defaults.get("custom", {}),
        place=(place["x"], place["y"], place["w"], place["h"]),
        queries=tuple((target["expr"], target.get("legendFormat", "")) for target in one["targets"]),
        columns=_columns(organized[0]) if organized else {},
    )


def _columns(organize: Mapping[str, Any]) -> dict[str, str]:
    order, headings = organize["indexByName"], organize["renameByName"]
    return {label: headings[label] for label in sorted(order, key=order.__getitem__)}


class Prometheus:
    """Asks one Prometheus over HTTP about the last minutes before `end`, a Unix time (None: the present).

    `rate` takes the place of Grafana's $__rate_interval.
    """

    def __init__(self, url: str, minutes: float, rate: str, end: float | None = None) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._seconds = minutes * 60
        self._rate = rate
        self._end = end

    def answer(self, panel: Panel) -> list[Series]:
        """Everything that a panel shows, with every namespace and model chosen. Raises QueryError."""
        return [series for query in panel.queries for series in self._ask(panel, *query)]

    def problems(self, panel: Panel) -> list[str]:
        """A sentence for each query of a panel that fails or shows nothing."""
        return [problem for query in panel.queries if (problem := self._problem(panel, *query))]

    def _problem(self, panel: Panel, expression: str, legend: str) -> str | None:
        try:
            series = self._ask(panel, expression, legend)
        except QueryError as error:
            return f"{panel.title}: {error}"
        if any(math.isfinite(value) for one in series for value in one.values):
            return None
        return f"{panel.title}: nothing to show for {expression}"

    def _ask(self, panel: Panel, expression: str, legend: str) -> list[Series]:
        asked = re.sub(r"\$(namespace|model)\b", ".+", expression.replace("$__rate_interval", self._rate))
        end = self._end or time.time()
        if panel.kind == "table":
            found = self._get("query", query=asked, time=end)
        else:
            window = {"start": end - self._seconds, "end": end, "step": self._seconds / POINTS}
            found = self._get("query_range", query=asked, **window)
        return [_series(one, legend) for one in found]

    def _get(self, page: str, **parameters: str | float) -> list[dict[str, Any]]:
        answer = self._http.get(f"/api/v1/{page}", params=parameters)
        if answer.is_error:
            raise QueryError(answer.text)
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found


def _series(found: Mapping[str, Any], legend: str) -> Series:
    points = found.get("values") or [found["value"]]
    times, values = zip(*((float(at), float(value)) for at, value in points), strict=True)
    return Series(_name(legend, found["metric"]), found["metric"], times, values)


def _name(legend: str, labels: Mapping[str, str]) -> str:
    if legend == "__auto":
        return ", ".join(f"{label}={value}" for label, value in sorted(labels.items()))
    return re.sub(r"{{(\w+)}}", lambda match: labels.get(match[1], ""), legend)
