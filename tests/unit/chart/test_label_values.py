"""Alerts and dashboards ask for label values that the code writes: a misspelt one would stay silent."""

import re
from collections.abc import Iterator

import yaml
from squeeze_operator import failures, modelstates
from squeeze_operator.reasons import Reason
from squeeze_predictor.openapi import parts, refusals
from squeeze_predictor.openapi.document import document
from unit.chart.chart_rendering import CHART
from unit.chart.test_dashboards import BOARDS, panels

GRPC = "/inference.GRPCInferenceService/ModelInfer"
REASONS = {
    "squeeze_requests_refused_total": {reason for reasons in refusals.REASONS.values() for reason in reasons},
    "squeeze_operator_reconcile_errors_total": set(failures.REASONS),
    "model:squeeze_trouble:max": {str(reason) for reason in Reason},
}
CONDITIONS = set(modelstates.SOUND)


def expressions() -> Iterator[str]:
    """Every query of the rules and of the panels."""
    rules = yaml.safe_load((CHART / "files" / "monitoring" / "alerts.yaml").read_text())
    yield from (rule["expr"] for group in rules["groups"] for rule in group["rules"])
    for board in BOARDS.values():
        yield from (target["expr"] for panel in panels(board) for target in panel["targets"])


def asked(label: str) -> Iterator[tuple[str, str]]:
    """Metric and pattern of each selector that names a label."""
    for expression in expressions():
        for metric, selector in re.findall(r"([a-z][\w:]*)\{(.*?)\}", expression, re.DOTALL):
            for pattern in re.findall(rf'\b{label}\s*(?:=~|=|!=|!~)\s*"(.*?)"', selector):
                yield metric, pattern


def test_reasons_are_those_of_the_metric() -> None:
    found = list(asked("reason"))
    assert {metric for metric, _ in found} == REASONS.keys()
    for metric, pattern in found:
        assert set(pattern.split("|")) <= REASONS[metric], metric


def test_conditions_are_those_of_a_model() -> None:
    found = {name for _, pattern in asked("condition") for name in pattern.split("|")}
    assert found
    assert found <= CONDITIONS


def test_routes_are_the_pages_that_classify() -> None:
    facts = parts.Facts("NAME", 10, 64, 5, 4, 400_000, 500_000, 67_108_864)
    routes = [*document(facts)["paths"], GRPC]
    (pattern,) = {pattern for _, pattern in asked("route")}
    matched = {route for route in routes if re.fullmatch(pattern, route)}
    assert matched == {"/v1/models/{model_name}:predict", "/v2/models/{model_name}/infer", GRPC}


def test_faults_of_the_server_are_the_same_in_alerts_and_dashboards() -> None:
    (pattern,) = {
        pattern for metric, pattern in asked("reason") if metric == "squeeze_requests_refused_total"
    }
    shed = {"QueueFull", "BodiesFull", "NotReady", "NotLive"}
    server = {reason for code in (500, 503, 504) for reason in refusals.REASONS[code]}
    assert set(pattern.split("|")) == server - shed
