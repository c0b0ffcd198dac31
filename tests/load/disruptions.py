"""Replicas that go while requests come: drained, evicted, killed, out of memory. What fails, how long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from e2e.models import Namespace, wait_for
from load import figures, node, running
from load.options import Options
from load.report import Result, result
from load.rollouts import PER_SECOND, spec
from load.running import Json, Run
from squeeze_cluster import kubectl
from squeeze_cluster.errors import CommandError

NAME = "disrupted"
SETTLE_SECONDS = 150.0
Disrupt = Callable[[Namespace], None]
EAT_MEMORY = """
import os, time
for _ in range(16):
    if os.fork() == 0:
        held = b"x" * (96 << 20)
        time.sleep(60)
time.sleep(60)
"""
"""More than the limit, by processes that are each smaller than the predictor: the kernel ends that one."""


def drain(namespace: Namespace) -> None:
    """Drains one replica's node of the model's replicas, as `kubectl drain` does, and opens it again."""
    name = victim(namespace)["spec"]["nodeName"]
    selector = f"--pod-selector=serving.kserve.io/inferenceservice={NAME}"
    try:
        kubectl.kubectl("drain", name, selector, "--delete-emptydir-data", "--timeout=120s")
    finally:
        kubectl.kubectl("uncordon", name)


def evict(namespace: Namespace) -> None:
    """Asks for one eviction, as a node autoscaler does; tries again while the budget refuses."""
    name = victim(namespace)["metadata"]["name"]
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace.name},
    }
    path = f"/api/v1/namespaces/{namespace.name}/pods/{name}/eviction"

    def evicted() -> bool:
        try:
            kubectl.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
        except CommandError as error:
            if "disruption budget" not in error.output:
                raise
            return False
        return True

    wait_for(evicted, 30, lambda: "the budget allows no eviction")


def kill(namespace: Namespace) -> None:
    """SIGKILL to one predictor."""
    node.kill(victim(namespace))


def run_out_of_memory(namespace: Namespace) -> None:
    """Makes one replica exceed its memory limit."""
    name = victim(namespace)["metadata"]["name"]
    exec_ = ("exec", name, "-n", namespace.name, "--", "python3", "-c", EAT_MEMORY)
    try:
        kubectl.kubectl(*exec_, timeout=60)
    except CommandError:
        return
    raise AssertionError("a replica took more memory than its limit")


DISRUPTIONS: dict[str, Disrupt] = {
    "drain": drain,
    "eviction": evict,
    "SIGKILL": kill,
    "out-of-memory": run_out_of_memory,
}


async def measure(options: Options) -> AsyncIterator[Result]:
    """Every disruption on two replicas and on one."""
    with options.namespace() as namespace:
        for replicas in (2, 1):
            digest = await asyncio.to_thread(running.start, namespace, NAME, spec(replicas))
            for name, disrupt in DISRUPTIONS.items():
                async with running.watched(namespace, NAME, digest, options.display) as run:
                    what = f"{name}-{replicas}"
                    yield await _one(run, what, replicas, partial(disrupt, namespace))


async def _one(run: Run, name: str, replicas: int, disrupt: Callable[[], Any]) -> Result:
    async with run.steadily(PER_SECOND):
        run.phase(f"before {name}")
        await _whole(run, replicas)
        await asyncio.sleep(5)
        run.phase(name)
        await asyncio.to_thread(disrupt)
        await asyncio.sleep(5)
        await _whole(run, replicas)
        await asyncio.sleep(8)
    found = result(name, run, allow_failures=True)
    found.figures["seconds_short"] = figures.seconds_short(run.samples, replicas)
    if not found.figures["seconds_short"]:
        found.broken.append(f"{name}: no replica went")
    return found


async def _whole(run: Run, replicas: int) -> None:
    await run.until(lambda said: said.ready == said.wanted == replicas, SETTLE_SECONDS, "whole again")


def victim(namespace: Namespace) -> kubectl.Object:
    """A replica that answers, the oldest."""
    pods = [pod for pod in namespace.pods(NAME) if "deletionTimestamp" not in pod["metadata"]]
    ready = [pod for pod in pods if any(_is_ready(one) for one in pod["status"].get("conditions", []))]
    return min(ready, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def _is_ready(condition: Json) -> bool:
    return bool(condition["type"] == "Ready" and condition["status"] == "True")
