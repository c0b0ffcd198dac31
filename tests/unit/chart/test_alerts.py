"""Prometheus itself takes the alert rules, and each alert fires when it should and only then."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from prometheus_programs import program
from unit.chart.alert_cases import ACTIVATOR, MODELS, OPERATOR, TRAININGS, Case
from unit.chart.chart_rendering import CHART, scenario

RULES = CHART / "files" / "monitoring" / "alerts.yaml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
CASES = [*MODELS, *TRAININGS, *OPERATOR, *ACTIVATOR]


def promtool(*arguments: str | Path) -> str:
    """What promtool prints; fails with its words where it is not content."""
    done = subprocess.run([program("promtool"), *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def as_promtool(case: Case) -> dict[str, Any]:
    """A case as promtool's unit tests write it; texts that are not given are those of the rule."""
    rule = ALERTS[case.alert]
    expected = [
        {"exp_labels": rule["labels"] | fires.labels, "exp_annotations": rule["annotations"] | fires.texts}
        for fires in case.fires
    ]
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [
            {"eval_time": f"{case.minute}m", "alertname": case.alert, "exp_alerts": expected}
        ],
    }


def written(folder: Path, cases: Iterable[Case]) -> Path:
    """A file of promtool's unit tests."""
    file = folder / "tests.yaml"
    content = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [as_promtool(c) for c in cases],
    }
    file.write_text(yaml.safe_dump(content))
    return file


def test_prometheus_takes_the_rules() -> None:
    assert f"{len(ALERTS) + 4} rules found" in promtool("check", "rules", RULES)


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    promtool("test", "rules", written(tmp_path, CASES))


def test_each_alert_is_shown_firing_and_silent() -> None:
    for outcome in (True, False):
        assert {case.alert for case in CASES if bool(case.fires) is outcome} == set(ALERTS)


def test_a_wrong_expectation_is_noticed(tmp_path: Path) -> None:
    silent = next(case for case in CASES if case.fires)
    file = written(tmp_path, [Case(silent.alert, silent.minute, silent.series)])
    done = subprocess.run([program("promtool"), "test", "rules", file], check=False, capture_output=True)
    assert done.returncode != 0


def test_the_chart_hands_the_rules_on_as_they_are() -> None:
    (rule,) = [item for item in scenario("monitoring") if item["kind"] == "PrometheusRule"]
    assert rule["spec"] == yaml.safe_load(RULES.read_text())
    assert rule["metadata"]["labels"]["release"] == "prometheus"
