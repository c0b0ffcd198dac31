"""What a person with a shell on a node of the kind cluster can do to a container: end it, ungently."""

from __future__ import annotations

from squeeze_cluster import shell
from squeeze_cluster.kubectl import Object


def kill(pod: Object) -> None:
    """SIGKILL to the first process of a pod's first container."""
    container, node = container_id(pod), pod["spec"]["nodeName"]
    # A node need not have crictl; every process knows the container that it belongs to.
    found = _on(node, "sh", "-c", f"grep -l {container} /proc/[0-9]*/cgroup 2>/dev/null; true")
    first = min(int(path.split("/")[2]) for path in found.split())
    _on(node, "kill", "-9", str(first))


def container_id(pod: Object) -> str:
    """The id of a pod's first container."""
    return str(pod["status"]["containerStatuses"][0]["containerID"]).rpartition("/")[2]


def _on(node: str, *command: str) -> str:
    return shell.run("docker", "exec", node, *command, timeout=60)
