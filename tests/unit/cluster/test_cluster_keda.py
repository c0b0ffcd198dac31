"""KEDA and Prometheus as the cluster gets them: versions that agree, and nothing that is left out."""

import re
from typing import Any

import yaml
from squeeze_cluster import catalogue, gobuild, keda, paths
from squeeze_operator import names
from squeeze_operator.desired import pod_spec
from squeeze_operator.settings import parse_settings
from squeeze_operator.snapshot import Options
from squeeze_operator.spec import parse_spec
from unit.operator_snapshots import SPEC

OBJECTS: list[dict[str, Any]] = [
    {"kind": "ValidatingWebhookConfiguration", "metadata": {"name": "keda-admission"}},
    {"kind": "Service", "metadata": {"name": "keda-admission-webhooks"}},
    {"kind": "ServiceAccount", "metadata": {"name": "keda-operator"}},
    *(
        {
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "template": {
                    "spec": {
                        "containers": [
                            {"name": name, "image": f"registry.example/{image}:latest", "args": []}
                        ]
                    }
                }
            },
        }
        for name, image in (("keda-operator", "keda"), ("keda-metrics-apiserver", "adapter"))
    ),
]


def test_keda_comes_without_its_webhooks_and_in_one_version() -> None:
    account, operator, adapter = keda.adapted(OBJECTS, "9.8.7")
    assert account["kind"] == "ServiceAccount"
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/keda:9.8.7"
    assert container["args"] == ["--enable-webhook-patching=false"]
    (container,) = adapter["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["args"]) == ("registry.example/adapter:9.8.7", [])


def test_images_are_those_that_the_manifests_name() -> None:
    version = gobuild.module_version("keda").removeprefix("v")
    built = [image.reference for image in catalogue.keda()]
    assert sum(reference.endswith(f":{version}") for reference in built) == 2
    assert catalogue.PROMETHEUS_IMAGE in built
    assert f"image: {catalogue.PROMETHEUS_IMAGE}\n" in keda.PROMETHEUS_FILE.read_text()
    dockerfile = (paths.IMAGES / "prometheus" / "Dockerfile").read_text()
    assert f"'prometheus={catalogue.PROMETHEUS_IMAGE.rpartition(':v')[2]}+ds1-*'" in dockerfile


def test_prometheus_finds_replicas_by_what_the_operator_gives_them() -> None:
    objects = list(yaml.safe_load_all(keda.PROMETHEUS_FILE.read_text()))
    (text,) = [item["data"]["prometheus.yml"] for item in objects if item["kind"] == "ConfigMap"]
    (job,) = yaml.safe_load(text)["scrape_configs"]
    kept = {rule["source_labels"][0]: rule["regex"] for rule in job["relabel_configs"] if "regex" in rule}
    label = re.sub(r"[^a-z]", "_", names.MODEL_LABEL)
    (container,) = pod_spec("digits", parse_spec(SPEC), Options("predictor:1"))["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert kept == {
        f"__meta_kubernetes_pod_labelpresent_{label}": "true",
        "__meta_kubernetes_pod_container_port_name": "http1",
    }
    assert ports["http1"] == names.HTTP_PORT
    assert {rule.get("target_label") for rule in job["relabel_configs"]} >= {"namespace", "pod"}


def test_the_operator_is_told_of_the_service_that_prometheus_has() -> None:
    values = dict(value.split("=", 1) for value in keda.chart_values()[1::2])
    objects = list(yaml.safe_load_all(keda.PROMETHEUS_FILE.read_text()))
    (service,) = [item for item in objects if item["kind"] == "Service"]
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    port = service["spec"]["ports"][0]["port"]
    assert values["prometheus.address"] == f"http://{name}.{namespace}.svc:{port}"
    flags = [f"--{name.replace('.', '-')}={value}" for name, value in values.items()]
    options = parse_settings(["--predictor-image=p:1", *flags]).options
    assert options.prometheus_address == values["prometheus.address"]
    assert options.prometheus_window == values["prometheus.window"]
