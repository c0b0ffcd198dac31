"""Puts on the cluster what the platform stands on: a firewall, metrics-server, Envoy Gateway and KServe.

Charts come from the pinned Go modules of the programs themselves.
"""

import base64
import shutil
from pathlib import Path
from string import Template

import yaml

from squeeze_cluster import catalogue, certificates, gobuild, helm, kubectl, paths
from squeeze_cluster.hashing import key_of
from squeeze_cluster.kubectl import Object

VALUES = paths.CLUSTER / "values"
MANIFESTS = paths.CLUSTER / "manifests"
KSERVE_NAMESPACE = "kserve"
_GATEWAY_NAMESPACE = "envoy-gateway-system"
_WEBHOOK_SECRET = "kserve-webhook-server-cert"
_WEBHOOK_SERVICE = "kserve-webhook-server-service"
_KSERVE_RECORD = "squeezeserve-installed"


def install_kube_router() -> str:
    """kube-router's firewall: what makes NetworkPolicies more than words."""
    manifest = Template((MANIFESTS / "kube-router.yaml").read_text())
    text = manifest.substitute(image=catalogue.kube_router().reference)
    kubectl.apply(list(yaml.safe_load_all(text)))
    return "applied"


def install_metrics_server() -> str:
    """metrics-server: what the autoscaler reads CPU use from."""
    chart = gobuild.module_dir("metrics-server") / "charts" / "metrics-server"
    tag = f"image.tag={gobuild.module_version('metrics-server')}"
    return helm.install(
        "metrics-server", chart, "kube-system", "--values", _values("metrics-server"), "--set", tag
    )


def install_gateway() -> str:
    """Envoy Gateway, the Gateway API's definitions and the gateway that KServe's routes attach to."""
    version = gobuild.module_version("envoy-gateway")
    image = f"docker.io/envoyproxy/gateway:{version}"
    images = [f"global.images.envoyProxy.image={catalogue.ENVOY_IMAGE}"]
    images.append(f"config.envoyGateway.provider.kubernetes.shutdownManager.image={image}")
    options = [word for image_value in images for word in ("--set", image_value)]
    chart = _gateway_chart(image)
    how = helm.install(
        "envoy-gateway", chart, _GATEWAY_NAMESPACE, "--values", _values("envoy-gateway"), *options
    )
    kubectl.ensure_namespace(KSERVE_NAMESPACE)
    kubectl.apply_file(str(MANIFESTS / "gateway.yaml"))
    return how


def install_kserve() -> str:
    """KServe's official charts, without cert-manager: its objects left out, a certificate of ours put in."""
    charts = gobuild.module_dir("kserve") / "charts"
    helm.install("kserve-crd", charts / "kserve-crd", KSERVE_NAMESPACE)
    rendered = helm.template(
        "kserve", charts / "kserve-resources", KSERVE_NAMESPACE, "--values", _values("kserve")
    )
    key = key_of(rendered)
    if _installed_key() == key:
        return "kept"
    if not kubectl.exists("secret", _WEBHOOK_SECRET, KSERVE_NAMESPACE):
        kubectl.apply([_webhook_secret()])
    authority = kubectl.get("secret", _WEBHOOK_SECRET, KSERVE_NAMESPACE)["data"]["ca.crt"]
    kubectl.apply(without_cert_manager(list(yaml.safe_load_all(rendered)), authority))
    kubectl.apply([_record(key)])
    return "installed"


def without_cert_manager(objects: list[Object | None], authority: str) -> list[Object]:
    """Adapt KServe's objects: no cert-manager, `authority` (base64 PEM) in the webhooks, no metrics proxy.

    The proxy container guards the manager's metrics and has an image of its own; metrics stay on the
    pod's loopback without it.
    """
    kept = [item for item in objects if item and not item["apiVersion"].startswith("cert-manager.io/")]
    for item in kept:
        for webhook in item.get("webhooks", []):
            webhook["clientConfig"]["caBundle"] = authority
        if item["kind"] == "Deployment":
            pod = item["spec"]["template"]["spec"]
            pod["containers"] = [one for one in pod["containers"] if one["name"] != "kube-rbac-proxy"]
        if item["kind"] == "ClusterStorageContainer":
            item["spec"]["container"]["imagePullPolicy"] = "IfNotPresent"
    return kept


def wait() -> None:
    """Wait until all of it answers."""
    kubectl.wait_rollout("kube-router", "kube-system", kind="daemonset")
    kubectl.wait_rollout("metrics-server", "kube-system")
    kubectl.wait_rollout("envoy-gateway", _GATEWAY_NAMESPACE)
    kubectl.wait_rollout("kserve-controller-manager", KSERVE_NAMESPACE)
    kubectl.kubectl(
        *("wait", "--for=condition=Programmed", "gateway/kserve-ingress-gateway"),
        *("-n", KSERVE_NAMESPACE, "--timeout=180s"),
    )


def _gateway_chart(image: str) -> Path:
    """The chart as its release would ship it: the module holds its values as a template."""
    source = gobuild.module_dir("envoy-gateway") / "charts" / "gateway-helm"
    version = gobuild.module_version("envoy-gateway")
    chart = paths.cache_dir("charts") / f"gateway-helm-{version}"
    if not (chart / "values.yaml").exists():
        shutil.rmtree(chart, ignore_errors=True)
        shutil.copytree(source, chart, copy_function=shutil.copyfile)
        template = Template((source / "values.tmpl.yaml").read_text())
        values = template.substitute(GatewayImage=image, GatewayImagePullPolicy="IfNotPresent")
        (chart / "values.yaml").write_text(values)
    return chart


def _webhook_secret() -> Object:
    service = f"{_WEBHOOK_SERVICE}.{KSERVE_NAMESPACE}.svc"
    issued = certificates.issue(service, f"{service}.cluster.local")
    data = {"ca.crt": issued.ca, "tls.crt": issued.certificate, "tls.key": issued.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": _WEBHOOK_SECRET, "namespace": KSERVE_NAMESPACE},
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def _record(key: str) -> Object:
    metadata = {"name": _KSERVE_RECORD, "namespace": KSERVE_NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": key}}


def _installed_key() -> str:
    if not kubectl.exists("configmap", _KSERVE_RECORD, KSERVE_NAMESPACE):
        return ""
    return str(kubectl.get("configmap", _KSERVE_RECORD, KSERVE_NAMESPACE)["data"]["key"])


def _values(name: str) -> str:
    return str(VALUES / f"{name}.yaml")
