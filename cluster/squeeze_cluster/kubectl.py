"""Talks to the cluster by kubectl, always with the platform's own kubeconfig."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from squeeze_cluster import paths, shell
from squeeze_cluster.binaries import ensure_binary

Object = dict[str, Any]
FIELD_MANAGER = "squeeze-cluster"


def kubectl(*arguments: str, stdin: str | None = None, timeout: float = 300) -> str:
    """Run kubectl against the cluster and return its output."""
    return shell.run(ensure_binary("kubectl"), *_config(), *arguments, stdin=stdin, timeout=timeout)


def reachable() -> bool:
    """Whether the API server says that it is ready."""
    return paths.KUBECONFIG.exists() and shell.succeeds(
        ensure_binary("kubectl"), *_config(), "get", "--raw", "/readyz", "--request-timeout=5s", timeout=10
    )


def exists(kind: str, name: str, namespace: str = "default") -> bool:
    """Whether an object is there."""
    return bool(kubectl("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "name").strip())


def items(kind: str, *selection: str) -> list[Object]:
    """The objects of a kind."""
    return list(json.loads(kubectl("get", kind, *selection, "-o", "json"))["items"])


def get(kind: str, name: str, namespace: str = "default") -> Object:
    """One object."""
    return dict(json.loads(kubectl("get", kind, name, "-n", namespace, "-o", "json")))


def apply(objects: Iterable[Object]) -> None:
    """Server-side apply."""
    text = yaml.safe_dump_all(list(objects))
    kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        f"--field-manager={FIELD_MANAGER}",
        "-f",
        "-",
        stdin=text,
    )


def apply_file(path: str) -> None:
    """Server-side apply of a manifest file."""
    kubectl("apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "-f", path)


def ensure_namespace(name: str, labels: Mapping[str, str] | None = None) -> None:
    """Make a namespace if it is missing, and give it these labels."""
    metadata = {"name": name, "labels": dict(labels or {})}
    apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])


def wait_rollout(name: str, namespace: str, seconds: int = 300, kind: str = "deployment") -> None:
    """Wait until all replicas of a Deployment or DaemonSet are up to date and available."""
    arguments = ("rollout", "status", f"{kind}/{name}", "-n", namespace, f"--timeout={seconds}s")
    kubectl(*arguments, timeout=seconds + 10)


def _config() -> tuple[str, str]:
    return ("--kubeconfig", str(paths.KUBECONFIG))
