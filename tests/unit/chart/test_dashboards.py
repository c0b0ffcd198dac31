"""The chart's dashboards are those of the code, in Grafana's own terms, and ask for metrics that exist."""

import json
import re
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import REGISTRY
from squeeze_operator import metrics as operator_metrics
from squeeze_operator.activator import metrics as activator_metrics
from squeeze_predictor import metrics as predictor_metrics
from unit.chart.chart_rendering import of_kind, scenario

from dashboards import files

BOARDS = {path.stem: json.loads(text) for path, text in files.wanted().items()}
each_board = pytest.mark.parametrize("name", BOARDS)


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard, rows apart."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def known() -> set[str]:
    """The names of all series that our programs export, and those of any Python process."""
    assert operator_metrics
    assert predictor_metrics
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + suffix
        for registry in (REGISTRY, activator_metrics.REGISTRY)
        for family in registry.collect()
        for suffix in suffixes.get(family.type, ("",))
    }


def test_the_files_are_those_of_the_code() -> None:
    assert files.stale() == []


def test_a_stale_file_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(files, "FOLDER", tmp_path / "dashboards")
    assert [path.name for path in files.stale()] == ["models.json", "platform.json"]
    files.write()
    (tmp_path / "dashboards" / "more.json").write_text("{}")
    assert [path.name for path in files.stale()] == ["more.json"]
    assert [path.name for path in files.write()] == ["more.json"]
    assert files.stale() == []


@each_board
def test_grafanas_own_types_hold_all_of_it(name: str) -> None:
    register_default_plugins()
    board = Dashboard.from_json(BOARDS[name])
    assert json.loads(JSONEncoder(sort_keys=True).encode(board)) == BOARDS[name]


@each_board
def test_every_metric_is_one_that_is_exported(name: str) -> None:
    for panel in panels(BOARDS[name]):
        for target in panel["targets"]:
            asked = set(re.findall(r"\b(?:squeeze|process|python)_\w+", target["expr"]))
            assert asked, panel["title"]
            assert asked <= known(), panel["title"]


@each_board
def test_every_panel_says_what_it_shows_and_has_a_place_of_its_own(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in panels(BOARDS[name]):
        assert panel["description"]
        assert [target["refId"] for target in panel["targets"]] == list("ABC")[: len(panel["targets"])]


def test_the_chart_ships_each_dashboard_for_the_sidecar() -> None:
    maps = of_kind(scenario("monitoring"), "ConfigMap")
    assert all(item["metadata"]["labels"]["grafana_dashboard"] == "1" for item in maps)
    assert all(item["metadata"]["annotations"] == {"grafana_folder": "SqueezeServe"} for item in maps)
    shipped = {file: json.loads(text) for item in maps for file, text in item["data"].items()}
    assert shipped == {f"squeezeserve-{name}.json": board for name, board in BOARDS.items()}
