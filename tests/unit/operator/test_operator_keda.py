"""The ScaledObject that KEDA gets."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from squeeze_operator import promql
from squeeze_operator.keda import scaled_object
from squeeze_operator.names import Key
from squeeze_operator.snapshot import Options
from squeeze_operator.spec import parse_spec
from squeeze_predictor import metrics
from unit.operator_snapshots import SPEC

METADATA = {"name": "digits", "namespace": "team", "uid": "u1"}
OPTIONS = Options("predictor:1", prometheus_address="http://prometheus:9090", prometheus_window="90s")


def made(profile: str = "latency", **scaling: Any) -> dict[str, Any]:
    """The spec of the ScaledObject of a model."""
    spec = parse_spec(SPEC | {"profile": profile, "scaling": scaling})
    found: dict[str, Any] = scaled_object(METADATA, spec, OPTIONS)["spec"]
    return found


def test_keda_makes_the_autoscaler_that_the_profile_and_the_spec_ask_for() -> None:
    spec = made(metric="utilization", minReplicas=2, maxReplicas=7, target=60)
    assert spec["scaleTargetRef"]["name"] == "digits-predictor"
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 7)
    config = spec["advanced"]["horizontalPodAutoscalerConfig"]
    assert config["name"] == "digits", "the name that no second autoscaler can have"
    assert config["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    (trigger,) = spec["triggers"]
    assert (trigger["metricType"], trigger["metadata"]["threshold"]) == ("Value", "60")
    assert trigger["metadata"]["serverAddress"] == "http://prometheus:9090"
    assert "[90s]" in trigger["metadata"]["query"]


@pytest.mark.parametrize(("profile", "share"), [("latency", "70"), ("throughput", "80"), ("cost", "85")])
def test_a_latency_objective_keeps_the_replicas_that_the_load_needs(profile: str, share: str) -> None:
    objective, need = made(profile, metric="latency", target=250)["triggers"]
    assert (objective["name"], objective["metadata"]["threshold"]) == ("latency", "250")
    assert (need["name"], need["metadata"]["threshold"]) == ("utilization", share)


@pytest.mark.parametrize("metric", ["utilization", "latency"])
def test_no_answer_is_never_taken_for_no_load(metric: str) -> None:
    spec = made(metric=metric, target=50)
    assert [trigger["metadata"]["ignoreNullValues"] for trigger in spec["triggers"]] == ["false"] * len(
        spec["triggers"]
    )
    assert "fallback" not in spec


@pytest.mark.parametrize("metric", ["utilization", "latency"])
def test_nothing_is_scaled_to_zero_that_did_not_ask_for_it(metric: str) -> None:
    spec = made("cost", metric=metric, target=50)
    assert spec["minReplicaCount"] >= 1
    assert "cooldownPeriod" not in spec
    assert "idleReplicaCount" not in spec
    assert all(int(trigger["metadata"]["threshold"]) >= 1 for trigger in spec["triggers"])


@pytest.mark.parametrize("query", [promql.utilization, promql.latency], ids=lambda query: query.__name__)
def test_queries_name_what_the_predictor_shows(query: Callable[[Key, str], str]) -> None:
    text = query(Key("team", "digits"), "2m")
    asked = set(re.findall(r"squeeze_\w+", text))
    # A histogram's series exist once it has seen something, so they are taken from its description.
    shown = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    shown |= {f"{family.name}_bucket" for family in REGISTRY.collect() if family.type == "histogram"}
    shown |= {family.name for family in REGISTRY.collect() if family.type == "gauge"}
    assert asked <= shown
    labels = {label for metric in (metrics.REQUEST_SECONDS, metrics.CAPACITY) for label in metric._labelnames}
    assert set(re.findall(r"(\w+)=", text)) <= labels | {"namespace", "model"}
