"""What a person with a shell on a node of the kind cluster can do to one container: end it, ungently."""

from __future__ import annotations

import time

from squeeze_cluster import shell
from squeeze_cluster.kubectl import Object


def kill(pod: Object) -> None:
    """SIGKILL to the first process of a pod's first container."""
    status = pod["status"]["containerStatuses"][0]
    kill_container(pod["spec"]["nodeName"], status["containerID"].rpartition("/")[2])


def kill_container(node: str, container: str) -> None:
    """SIGKILL to the first process of a container."""
    template = ("--output", "go-template", "--template", "{{.info.pid}}")
    pid = _on(node, "crictl", "inspect", *template, container).strip()
    _on(node, "kill", "-9", pid)


def container(node: str, name: str) -> str:
    """The id of a running container, such as kube-apiserver's."""
    return _on(node, "crictl", "ps", "--name", f"^{name}$", "--quiet").split()[0]


def wait_replaced(node: str, name: str, before: str, seconds: float = 120) -> None:
    """Waits until another container of that name runs. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while _on(node, "crictl", "ps", "--name", f"^{name}$", "--quiet").split() in ([], [before]):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} on {node} did not start again in {seconds:.0f} s")
        time.sleep(0.5)


def _on(node: str, *command: str) -> str:
    return shell.run("docker", "exec", node, *command, timeout=30)
