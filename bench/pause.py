"""Holds the cluster of `make up` still while something else is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from squeeze_cluster import kind, kubectl, shell


@contextmanager
def cluster_paused() -> Iterator[None]:
    """An idle cluster, too, takes time of the cores; its nodes go on afterwards where they stopped."""
    nodes = kind.nodes() if kubectl.reachable() else []
    for node in nodes:
        shell.run("docker", "pause", node)
    try:
        yield
    finally:
        for node in nodes:
            shell.run("docker", "unpause", node)
