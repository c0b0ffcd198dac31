"""What a running operator tells of itself and of its models: metrics, log lines and Events."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration.apiserver import ControlPlane, eventually
from integration.operator_process import Process
from prometheus_client.parser import text_string_to_metric_families

Make = Callable[..., Any]
TROUBLE = "squeeze_operator_model_trouble"


@pytest.fixture
def process(kserve_plane: ControlPlane, tmp_path: Path) -> Iterator[Process]:
    """A running operator process that looks at every model again and again."""
    running = Process(kserve_plane.folder / "operator.kubeconfig", tmp_path, "--resync-seconds=1")
    yield running
    running.child.kill()
    running.child.wait(10)


def samples(process: Process, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each series of a metric that has these labels."""
    text = httpx.get(f"http://127.0.0.1:{process.metrics}/metrics", trust_env=False).text
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def total(process: Process, name: str, **labels: str) -> float:
    """The sum over those series."""
    return sum(value for _, value in samples(process, name, **labels))


def lines(process: Process) -> list[dict[str, Any]]:
    """The whole lines of the log so far."""
    return [json.loads(line) for line in process.log.read_text().splitlines()]


def test_a_model_in_trouble_is_told_in_metrics_log_and_events_once(process: Process, model: Make) -> None:
    eventually(lambda: process.page("/readyz") == 200, "it is ready", timeout=60)
    digits = model()
    mine = {"model_namespace": digits.namespace, "model": "digits"}
    digits.create()
    eventually(lambda: samples(process, TROUBLE, **mine, condition="Serving"), "it does not serve yet")
    digits.kserve.serve(2)
    digits.wait("Ready", "True")
    eventually(lambda: not samples(process, TROUBLE, **mine, condition="Ready"), "it is ready")
    digits.change(resources={"requests": {"memory": "8Gi"}, "limits": {"memory": "1Gi"}})
    digits.wait("Stalled", "True", "InvalidSpec")
    stalled = {"condition": "Stalled", "status": "True", "reason": "InvalidSpec"}
    eventually(lambda: samples(process, TROUBLE, **mine, **stalled), "the trouble has its reason")
    assert total(process, "squeeze_operator_models_by_condition", condition="Stalled", status="True") == 1
    done = total(process, "squeeze_operator_reconciles_total")
    eventually(lambda: total(process, "squeeze_operator_reconciles_total") > done + 5, "five more looks")

    path = f"/api/v1/namespaces/{digits.namespace}/events"
    told = Counter(event["reason"] for event in digits.kube.get(path)["items"])
    assert told == {"Available": 1, "InvalidSpec": 1}
    about = [line for line in lines(process) if line.get("model") == "digits"]
    assert {line["namespace"] for line in about} == {digits.namespace}
    assert [line["reason"] for line in about if "InvalidSpec" in line["message"]] == ["InvalidSpec"]
    assert not [line for line in lines(process) if digits.namespace in line["message"]], "not by its field"

    digits.kube.delete(digits.path)
    eventually(lambda: not samples(process, TROUBLE, **mine), "what is gone is in no trouble")


def test_requests_failures_and_audits_are_counted(
    kserve_plane: ControlPlane, process: Process, model: Make
) -> None:
    eventually(lambda: process.page("/readyz") == 200, "it is ready", timeout=60)
    digits = model()
    digits.create()
    digits.kserve.service()
    requests = "squeeze_operator_api_requests_total"
    assert total(process, requests, verb="patch", kind="InferenceService", code="201") == 1
    assert total(process, requests, verb="patch", kind="SqueezeModel", code="200") >= 1
    assert total(process, requests, verb="list", kind="SqueezeModel") >= 1
    assert total(process, "squeeze_operator_api_request_seconds_count", verb="patch") >= 1
    assert total(process, "squeeze_operator_last_audit_timestamp_seconds") > 1e9
    assert total(process, "squeeze_operator_queue_seconds_count") >= 1
    kserve_plane.stop_process("kube-apiserver")
    try:
        failed = {"reason": "Unreachable"}
        eventually(
            lambda: total(process, "squeeze_operator_reconcile_errors_total", **failed) >= 2,
            "each try is counted by its reason",
        )
        assert total(process, "squeeze_operator_models_retrying") >= 1
        assert total(process, requests, code="0") >= 2
    finally:
        kserve_plane.start_apiserver()
    eventually(lambda: not total(process, "squeeze_operator_models_retrying"), "all goes on", timeout=60)
    failures = [line for line in lines(process) if line.get("reason") == "Unreachable"]
    assert failures
    assert all(line["level"] == "WARNING" and line["model"] for line in failures)
