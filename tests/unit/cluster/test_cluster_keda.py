"""KEDA and Prometheus as the cluster gets them: versions that agree, and nothing that is left out."""

from typing import Any

import yaml
from squeeze_cluster import catalogue, gobuild, keda, paths
from squeeze_operator.settings import parse_settings

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


def test_prometheus_scrapes_what_the_chart_tells_and_often_enough_for_the_window() -> None:
    (text,) = [item["data"]["prometheus.yml"] for item in keda.prometheus() if item["kind"] == "ConfigMap"]
    config = yaml.safe_load(text)
    chart = yaml.safe_load((paths.CHART / "files" / "monitoring" / "scrape.yaml").read_text())
    assert config["scrape_configs"] == chart["scrape_configs"]
    (models,) = [job for job in config["scrape_configs"] if "model" in job["job_name"]]
    known = {rule.get("target_label") for rule in models["relabel_configs"]}
    assert known >= {"namespace", "model"}, "labels that the queries count on"
    window, interval = keda.chart_values()[-1].partition("=")[2], config["global"]["scrape_interval"]
    assert int(window.rstrip("s")) >= 4 * int(interval.rstrip("s"))


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
