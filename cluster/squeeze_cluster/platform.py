"""Puts SqueezeServe itself on the cluster: its images, the operator by Helm, and a first model."""

import json

from squeeze_cluster import catalogue, helm, images, keda, kubectl, paths, registry
from squeeze_cluster.errors import ClusterError, CommandError
from squeeze_cluster.settings import SYSTEM_NAMESPACE, Settings

RELEASE = "squeezeserve"
SAMPLE = "digits"
SAMPLE_FILE = paths.REPO / "manifests" / "samples" / "digits.yaml"
READY_SECONDS = 240


def push_images(settings: Settings) -> dict[str, str]:
    """Make the platform's images and push them; returns each one's name on the registry.

    The trainer's is only named: `make trainer` makes it, which most clusters never need.
    """
    pushed = {"trainer": registry.name(catalogue.product("trainer").reference, settings)}
    for name in ("predictor", "operator"):
        image = catalogue.product(name)
        images.ensure(image, settings)
        pushed[name] = registry.push(image.reference, settings)
    return pushed


def install_operator(pushed: dict[str, str], settings: Settings) -> str:
    """Install the chart of this checkout with the images of this checkout."""
    values = ["--values", str(paths.CLUSTER / "values" / "kind.yaml")]
    for key, name in (("image", "operator"), ("predictor.image", "predictor"), ("trainer.image", "trainer")):
        repository, _, tag = pushed[name].rpartition(":")
        values += ["--set-string", f"{key}.repository={repository}", "--set-string", f"{key}.tag={tag}"]
    if settings.keda:
        values += [*keda.chart_values(), "--set", "activator.enabled=true"]
    values += ["--set-json", f"networkPolicy.apiServerCidrs={json.dumps(_api_server())}"]
    kubectl.ensure_namespace(SYSTEM_NAMESPACE, {"pod-security.kubernetes.io/enforce": "restricted"})
    how = helm.install(RELEASE, paths.CHART, SYSTEM_NAMESPACE, *values)
    kubectl.wait_rollout("squeezeserve-operator", SYSTEM_NAMESPACE)
    if settings.keda:
        kubectl.wait_rollout("squeezeserve-activator", SYSTEM_NAMESPACE)
    return how


def _api_server() -> list[str]:
    """The API server's addresses, of its Service and behind it: a firewall may look at either."""
    slices = kubectl.items("endpointslices", "-l", "kubernetes.io/service-name=kubernetes")
    behind = [address for one in slices for end in one["endpoints"] for address in end["addresses"]]
    return [
        f"{address}/32" for address in (kubectl.get("service", "kubernetes")["spec"]["clusterIP"], *behind)
    ]


def apply_sample() -> None:
    """Apply the sample SqueezeModel and wait until it is Ready; a refusal carries its own words."""
    kubectl.apply_file(str(SAMPLE_FILE))
    try:
        kubectl.kubectl(
            *("wait", "--for=condition=Ready", f"squeezemodel/{SAMPLE}", f"--timeout={READY_SECONDS}s"),
            timeout=READY_SECONDS + 10,
        )
    except CommandError as error:
        conditions = kubectl.get("squeezemodel", SAMPLE).get("status", {}).get("conditions", [])
        told = "\n".join(
            f"  {one['type']}={one['status']} {one['reason']}: {one['message']}" for one in conditions
        )
        raise ClusterError(f"SqueezeModel {SAMPLE} was not Ready in {READY_SECONDS} s:\n{told}") from error
