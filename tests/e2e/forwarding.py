"""A port of the cluster, on 127.0.0.1 for as long as a test needs it."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.models import wait_for
from squeeze_cluster import paths
from squeeze_cluster.binaries import ensure_binary


@contextmanager
def port_forward(namespace: str, target: str, port: int) -> Iterator[int]:
    """kubectl port-forward of a port of `target`, such as service/digits; yields the local port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        local = int(probe.getsockname()[1])
    command = [str(ensure_binary("kubectl")), "--kubeconfig", str(paths.KUBECONFIG)]
    command += ["port-forward", "-n", namespace]
    process = subprocess.Popen([*command, target, f"{local}:{port}"], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _listens(local), 30, lambda: f"{target} is not forwarded")
        yield local
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
