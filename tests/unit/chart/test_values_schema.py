"""The values schema: takes every scenario, refuses what is misspelt or out of range, and documents itself."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from unit.chart.chart_rendering import CHART, SCENARIOS, helm

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES_TEXT = (CHART / "values.yaml").read_text()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Helm's merge: maps by key, everything else replaced."""
    nested = {
        key: merged(base[key], value)
        if isinstance(value, dict) and isinstance(base.get(key), dict)
        else value
        for key, value in over.items()
    }
    return base | nested


def findings(text: str) -> list[str]:
    """The schema's findings about values that a user sets, as "path: message"."""
    values = merged(yaml.safe_load(VALUES_TEXT), yaml.safe_load(text) or {})
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(values)]


def test_the_schema_is_a_schema_that_every_helm_reads() -> None:
    assert (
        SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    )  # Helm before 3.18 knows no later one
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_valid(name: str) -> None:
    assert findings(SCENARIOS[name].read_text()) == []


WRONG = [
    ("replicas: 2", "replicas"),
    ("image: {tagg: v1}", "tagg"),
    ("image: {repository: ''}", "image.repository"),
    ("image: {repository: 'registry.example.com/operator:v1'}", "image.repository"),
    ("image: {repository: HTTPS://example.com/operator}", "image.repository"),
    ("image: {tag: 1.5}", "image.tag"),
    ("image: {tag: 'a b'}", "image.tag"),
    ("image: {digest: 'sha256:123'}", "image.digest"),
    ("image: {pullPolicy: always}", "image.pullPolicy"),
    ("predictor: {allowCpuFallback: 'true'}", "predictor.allowCpuFallback"),
    ("predictor: {resources: {}}", "resources"),
    ("predictor: {networkPolicy: {clients: []}}", "clients"),
    ("predictor: {networkPolicy: {weightsEgress: 443}}", "predictor.networkPolicy.weightsEgress"),
    ("predictor: {proxy: {https: 'http://user:password@proxy:1'}}", "predictor.proxy.https"),
    ("predictor: {image: {architecture: linux/amd64}}", "predictor.image.architecture"),
    ("watchNamespaces: team-a", "watchNamespaces"),
    ("watchNamespaces: [Team-A]", "watchNamespaces"),
    ("watchNamespaces: [a, a]", "watchNamespaces"),
    ("watchNamespaces: ['team-*']", "watchNamespaces"),
    ("log: {format: xml}", "log.format"),
    ("log: {level: info}", "log.level"),
    ("workers: 0", "workers"),
    ("workers: 65", "workers"),
    ("crds: {keep: false}", "keep"),
    ("serviceAccount: {create: false}", "serviceAccount.name"),
    ("podSecurity: {runAsUser: 0}", "podSecurity.runAsUser"),
    ("podSecurity: {runAsUser: root}", "podSecurity.runAsUser"),
    ("podSecurity: {privileged: true}", "privileged"),
    ("resources: {limits: {memory: lots}}", "resources.limits.memory"),
    ("resources: {limits: {cpu: -1}}", "resources.limits.cpu"),
    ("resources: {limit: {}}", "limit"),
    ("podDisruptionBudget: {maxUnavailable: 0}", "podDisruptionBudget.maxUnavailable"),
    ("networkPolicy: {apiServerPorts: []}", "networkPolicy.apiServerPorts"),
    ("networkPolicy: {apiServerPorts: [65536]}", "networkPolicy.apiServerPorts"),
    ("networkPolicy: {apiServerCidrs: ['10.0.0.1']}", "networkPolicy.apiServerCidrs"),
    ("proxy: {http: 'proxy.example.com:3128'}", "proxy.http"),
    ("proxy: {noProxy: ['a,b']}", "proxy.noProxy"),
    ("extraEnv: [{name: HTTPS_PROXY, value: x}]", "extraEnv"),
    ("extraEnv: [{name: N, value: 1}]", "extraEnv"),
    ("metrics: {serviceMonitor: {interval: 30}}", "metrics.serviceMonitor.interval"),
    ("metrics: {podMonitor: {namespaces: [a]}}", "namespaces"),
    ("metrics: {prometheusRule: {enabled: 'true'}}", "metrics.prometheusRule.enabled"),
    ("metrics: {dashboards: {labels: {grafana_dashboard: 1}}}", "metrics.dashboards.labels"),
    ("terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds"),
    ("affinity: {nodeAffinty: {}}", "nodeAffinty"),
]


@pytest.mark.parametrize(("text", "word"), WRONG)
def test_a_wrong_value_is_refused_by_name(text: str, word: str) -> None:
    found = findings(text)
    assert found
    assert any(word in finding for finding in found), found


RIGHT = [
    "image: {repository: 'localhost:5001/squeezeserve/operator', tag: v1.2.3-rc.1_x}",
    "image: {repository: operator}",
    "podSecurity: {runAsUser: 1, runAsGroup: 2147483647}",
    "podSecurity: {runAsUser: null}",
    "resources: {limits: {cpu: 1, memory: 1.5Gi}}",
    "resources: {}",
    "networkPolicy: {apiServerPorts: [1, 65535], apiServerCidrs: ['fd00::1/128']}",
    "terminationGracePeriodSeconds: 1",
    "watchNamespaces: [a, b1]",
    "workers: 1",
    "workers: 64",
    "global: {anything: {a: parent}}",
    "proxy: {http: 'http://proxy.example.com:3128/'}",
]


@pytest.mark.parametrize("text", RIGHT)
def test_a_right_value_at_the_edge_is_taken(text: str) -> None:
    assert findings(text) == []


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("replicas=2", ["replicas", "not allowed"]),
        ("image.pullPolicy=always", ["pullPolicy", "'IfNotPresent'"]),
        ("podDisruptionBudget.maxUnavailable=0", ["maxUnavailable", "minimum"]),
    ],
)
def test_helm_says_which_value_is_wrong(setting: str, words: list[str]) -> None:
    done = helm("template", "squeezeserve", CHART, "--set", setting)
    assert done.returncode != 0
    assert all(word in done.stderr for word in words), done.stderr


def objects_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Every part of a schema that names properties."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            yield schema
        for part in schema.values():
            yield from objects_of(part)


def test_every_object_with_properties_is_closed() -> None:
    assert all(part.get("additionalProperties") is False for part in objects_of(SCHEMA))


def test_every_default_is_in_the_schema_and_the_other_way_round() -> None:
    assert set(yaml.safe_load(VALUES_TEXT)) == set(SCHEMA["properties"])


def uncommented(lines: list[str]) -> list[str]:
    """Keys with no comment above themselves, nor above the object that they are a part of."""
    found, documented_indents = [], list[int]()
    previous = ""
    for line in lines:
        key = re.match(r"( *)[A-Za-z]\w*:", line)
        if key:
            indent = len(key[1])
            documented_indents = [above for above in documented_indents if above < indent]
            commented = previous.lstrip().startswith("#")
            nested_leaf = bool(documented_indents)
            if commented:
                documented_indents.append(indent)
            elif not (nested_leaf or line.rstrip().endswith(":")):
                found.append(line.strip())
        previous = line
    return found


def test_every_value_is_commented() -> None:
    assert uncommented(VALUES_TEXT.splitlines()) == []


def test_a_value_without_a_comment_is_noticed() -> None:
    assert uncommented(["# a", "a: 1", "b: 2"]) == ["b: 2"]
    assert uncommented(["log:", "  format: json"]) == ["format: json"]
