"""Puts KEDA and Prometheus on the cluster (`make up KEDA=1`): what scales by utilization and by latency.

KEDA's manifests come from its pinned Go module. Its admission webhooks are left out: all they do is refuse
ScaledObjects that a person got wrong, and the operator makes them.
"""

import yaml

from squeeze_cluster import addons, gobuild, kubectl, paths
from squeeze_cluster.hashing import key_of
from squeeze_cluster.kubectl import Object

PROMETHEUS_ADDRESS = "http://prometheus.monitoring.svc:9090"
PROMETHEUS_FILE = addons.MANIFESTS / "prometheus.yaml"
_NAMESPACE = "keda"
_WEBHOOK = "keda-admission"
_API = "v1beta1.external.metrics.k8s.io"
_SCRAPE_FILE = paths.CHART / "files" / "monitoring" / "scrape.yaml"
_SCRAPES = {"scrape_interval": "5s", "scrape_timeout": "4s"}
_WINDOW = "30s"
"""Six scrapes."""


def install_keda() -> str:
    """KEDA's operator and its metrics API."""
    kubectl.apply(manifests())
    return "applied"


def install_prometheus() -> str:
    """A Prometheus that scrapes every replica of every model, as the chart tells."""
    kubectl.apply(prometheus())
    return "applied"


def wait() -> None:
    """Wait until both answer."""
    for deployment in ("keda-operator", "keda-metrics-apiserver"):
        kubectl.wait_rollout(deployment, _NAMESPACE)
    kubectl.kubectl("wait", "--for=condition=Available", f"apiservice/{_API}", "--timeout=120s")
    kubectl.wait_rollout("prometheus", "monitoring")


def chart_values() -> list[str]:
    """Arguments of Helm that tell the operator where Prometheus is."""
    values = {"prometheus.address": PROMETHEUS_ADDRESS, "prometheus.window": _WINDOW}
    return [word for name, value in values.items() for word in ("--set-string", f"{name}={value}")]


def manifests() -> list[Object]:
    """What there is to apply."""
    rendered = kubectl.kubectl("kustomize", str(gobuild.module_dir("keda") / "config" / "default"))
    return adapted(list(yaml.safe_load_all(rendered)), gobuild.module_version("keda").removeprefix("v"))


def prometheus() -> list[Object]:
    """The objects of Prometheus; its pod is replaced where its configuration has changed."""
    config = yaml.safe_dump({"global": _SCRAPES} | yaml.safe_load(_SCRAPE_FILE.read_text()))
    objects: list[Object] = list(yaml.safe_load_all(PROMETHEUS_FILE.read_text()))
    for item in objects:
        if item["kind"] == "Deployment":
            annotations = {"squeezeserve.io/configuration": key_of(config)}
            item["spec"]["template"]["metadata"]["annotations"] = annotations
    metadata = {"name": "prometheus", "namespace": "monitoring"}
    data = {"prometheus.yml": config}
    return [*objects, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}]


def adapted(objects: list[Object], version: str) -> list[Object]:
    """KEDA's objects without the webhooks, and with images of this version."""
    kept = [item for item in objects if not item["metadata"]["name"].startswith(_WEBHOOK)]
    for item in kept:
        if item["kind"] != "Deployment":
            continue
        for container in item["spec"]["template"]["spec"]["containers"]:
            container["image"] = f"{container['image'].rpartition(':')[0]}:{version}"
            container["imagePullPolicy"] = "IfNotPresent"
            if container["name"] == "keda-operator":
                container["args"].append("--enable-webhook-patching=false")
    return kept
