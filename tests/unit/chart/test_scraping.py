"""Prometheus looks for the labels and ports that the pods have, in each of the ways that the chart offers."""

from typing import Any

import yaml
from squeeze_operator import desired, names
from squeeze_operator.spec import parse_spec
from unit.chart.chart_rendering import CHART, only, operator_container, rendered, scenario
from unit.operator_snapshots import OPTIONS, SPEC

METADATA = {"name": "digits", "namespace": "team", "uid": "u1"}
JOBS: dict[str, dict[str, Any]] = {
    job["job_name"]: job
    for job in yaml.safe_load((CHART / "files" / "monitoring" / "scrape.yaml").read_text())["scrape_configs"]
}


def predictor() -> dict[str, Any]:
    """The InferenceService of a model; KServe hands its labels on to the pods."""
    return desired.inference_service(METADATA, parse_spec(SPEC), OPTIONS)


def ports(container: dict[str, Any]) -> dict[str, int]:
    """A container's ports by name."""
    return {port["name"]: port["containerPort"] for port in container["ports"]}


def kept_port(job: str) -> str:
    """The port name that a job of scrape.yaml keeps."""
    source = ["__meta_kubernetes_pod_container_port_name"]
    rules = JOBS[job]["relabel_configs"]
    (rule,) = [rule for rule in rules if rule["source_labels"] == source and rule["action"] == "keep"]
    return str(rule["regex"])


def selector(job: str) -> str:
    """The label selector of a job of scrape.yaml."""
    ((found,),) = (discovery["selectors"] for discovery in JOBS[job]["kubernetes_sd_configs"])
    return str(found["label"])


def test_predictors_are_found_by_label_and_port() -> None:
    service = predictor()
    assert names.MODEL_LABEL in service["metadata"]["labels"]
    (container,) = service["spec"]["predictor"]["containers"]
    assert selector("squeezeserve-models") == names.MODEL_LABEL
    assert ports(container)[kept_port("squeezeserve-models")] == names.HTTP_PORT
    monitor = only(scenario("monitoring"), "PodMonitor")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert ports(container)[endpoint["port"]] == names.HTTP_PORT
    assert monitor["selector"]["matchExpressions"] == [{"key": names.MODEL_LABEL, "operator": "Exists"}]


def test_the_model_becomes_a_label_in_either_way() -> None:
    label = "__meta_kubernetes_pod_label_squeezeserve_io_model"
    rules = JOBS["squeezeserve-models"]["relabel_configs"]
    assert {"source_labels": [label], "target_label": "model"} in rules
    (endpoint,) = only(scenario("monitoring"), "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"] == [{"sourceLabels": [label], "targetLabel": "model"}]


def test_the_operator_is_found_by_label_and_port() -> None:
    objects = rendered(release="other")
    labels = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    wanted = dict(pair.split("=") for pair in selector("squeezeserve-operator").split(","))
    assert wanted.items() <= labels.items()
    assert ports(operator_container(objects))[kept_port("squeezeserve-operator")] == 9090


def test_the_pod_monitor_looks_into_the_namespaces_that_are_served() -> None:
    everywhere = only(scenario("monitoring"), "PodMonitor")["spec"]
    assert everywhere["namespaceSelector"] == {"any": True}
    some = rendered("--set", "metrics.podMonitor.enabled=true", "--set", "watchNamespaces={team-a,team-b}")
    assert only(some, "PodMonitor")["spec"]["namespaceSelector"] == {"matchNames": ["team-a", "team-b"]}
