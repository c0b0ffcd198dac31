"""Creates the kind cluster, notices a broken one and mends it."""

import copy
import json
from typing import Any

import yaml

from squeeze_cluster import engine, gobuild, kubectl, network, paths, shell, waiting
from squeeze_cluster.binaries import ensure_binary
from squeeze_cluster.errors import ClusterError
from squeeze_cluster.settings import CLUSTER_NAME, KIND_NETWORK, REGISTRY_NAME, Settings

GPU_LABEL = "squeezeserve.io/gpu"
GPU_RESOURCE = "nvidia.com/gpu"
SIMULATED_GPUS = "2"
REVIVAL_SECONDS = 120
"""How long the API server may take after its node was started anew; giving up costs the user's models."""
_CONTAINERD = 'plugins."io.containerd.grpc.v1.cri"'
_STAND_IN = "/usr/local/sbin/runc-nosysres"
_HOSTS_TOML = f"""\
[host."http://{REGISTRY_NAME}:5000"]
  capabilities = ["pull", "resolve"]
"""

Config = dict[str, Any]


def ensure(node_image: str, settings: Settings) -> str:
    """Have a cluster whose API server answers; returns "kept", "created" or "created anew"."""
    found = nodes()
    how = "created"
    if found:
        if _revive(found):
            return "kept"
        delete()
        how = "created anew (what was left of the last one did not answer)"
    _create(node_image, settings)
    return how


def nodes() -> list[str]:
    """The containers of the cluster, running or not."""
    label = f"label=io.x-k8s.kind.cluster={CLUSTER_NAME}"
    return shell.run("docker", "ps", "--all", "--filter", label, "--format", "{{.Names}}").split()


def delete() -> None:
    """Remove the cluster's containers and kubeconfig."""
    shell.run(
        ensure_binary("kind"), "delete", "cluster", "--name", CLUSTER_NAME, "--kubeconfig", paths.KUBECONFIG
    )


def finish_nodes() -> None:
    """What every node needs after each start: the pod network, the registry, simulated GPUs, readiness."""
    network.connect_pods()
    for name in nodes():
        folder = "/etc/containerd/certs.d/_default"
        shell.run(
            "docker",
            "exec",
            "-i",
            name,
            "sh",
            "-ec",
            f"mkdir -p {folder}; cat > {folder}/hosts.toml",
            stdin=_HOSTS_TOML,
        )
    _simulate_gpus()
    kubectl.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")


def configuration(base: Config, settings: Settings, stand_in: str | None) -> Config:
    """kind's configuration for this machine: the port asked for and, if given, the runc stand-in's path."""
    config = copy.deepcopy(base)
    for node in config["nodes"]:
        for mapping in node.get("extraPortMappings", []):
            mapping["hostPort"] = settings.gateway_port
        if stand_in:
            node.setdefault("extraMounts", []).append(
                {"hostPath": stand_in, "containerPath": _STAND_IN, "readOnly": True}
            )
    if stand_in:
        config["containerdConfigPatches"] += [
            f"[{_CONTAINERD}]\n  restrict_oom_score_adj = true",
            f'[{_CONTAINERD}.containerd.runtimes.runc.options]\n  BinaryName = "{_STAND_IN}"',
        ]
    return config


def _create(node_image: str, settings: Settings) -> None:
    base = yaml.safe_load((paths.REPO / "kind-config.yaml").read_text())
    stand_in = str(gobuild.build("runc-nosysres")) if engine.lacks_sys_resource() else None
    config = paths.cache_dir() / "kind-config.yaml"
    config.write_text(yaml.safe_dump(configuration(base, settings, stand_in)))
    shell.run(
        *(ensure_binary("kind"), "create", "cluster", "--name", CLUSTER_NAME, "--image", node_image),
        *("--config", config, "--kubeconfig", paths.KUBECONFIG, "--retain", "-v", "1"),
        env={"KIND_EXPERIMENTAL_DOCKER_NETWORK": KIND_NETWORK},
    )


def _revive(found: list[str]) -> bool:
    """Start nodes that stopped (a reboot, a killed engine) and see whether the cluster comes back."""
    expected = len(yaml.safe_load((paths.REPO / "kind-config.yaml").read_text())["nodes"])
    if len(found) != expected or not paths.KUBECONFIG.exists():
        return False
    shell.run("docker", "start", *found)
    try:
        waiting.until(kubectl.reachable, REVIVAL_SECONDS, "the API server does not answer")
    except ClusterError:
        return False
    return len(kubectl.items("nodes")) == expected


def _simulate_gpus() -> None:
    """Offer GPUs that are not there, as a device plugin would, so that GPU requests schedule for real."""
    key = GPU_RESOURCE.replace("/", "~1")
    patch = json.dumps([{"op": "add", "path": f"/status/capacity/{key}", "value": SIMULATED_GPUS}])
    for node in kubectl.items("nodes", "-l", f"{GPU_LABEL}=true"):
        name = node["metadata"]["name"]
        kubectl.kubectl("patch", "node", name, "--subresource=status", "--type=json", "-p", patch)
