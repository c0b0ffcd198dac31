"""The operator killed in the midst of its work, the API server and KServe restarted, while requests come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from e2e.models import Namespace, wait_for
from load import node, running
from load.options import Options
from load.report import Result, result
from load.rollouts import PER_SECOND, spec
from load.running import Json, Run
from load.sampling import Said
from squeeze_cluster import kubectl
from squeeze_cluster.errors import CommandError
from squeeze_cluster.settings import CLUSTER_NAME, SYSTEM_NAMESPACE
from squeeze_operator.reasons import Reason

NAME = "steered"
API_SERVER = f"kube-apiserver-{CLUSTER_NAME}-control-plane"
OPERATOR = "app.kubernetes.io/component=operator"
KSERVE = ("kserve-controller-manager", "-n", "kserve")
KSERVE_POD = ("-n", "kserve", "-l", "control-plane=kserve-controller-manager")
AWAY_SECONDS = 10.0
"""How long KServe stays away after the model has told that its webhook is down."""
MOMENTS = (0.0, 0.05, 0.3, 1.0, 4.0, 10.0)
"""Seconds from a change to the operator's end: before it has seen it, as it writes, and as the pods roll."""
OWNED = ("inferenceservices", "horizontalpodautoscalers", "poddisruptionbudgets", "deployments")


async def measure(options: Options) -> AsyncIterator[Result]:
    """The operator killed at each moment, the API server and then KServe restarted; or one of these."""
    with options.namespace() as namespace:
        digest = await asyncio.to_thread(running.start, namespace, NAME, spec(2))
        before = await asyncio.to_thread(children, namespace)
        for name in [name for name in DISTURBANCES if name in options.wanted] or DISTURBANCES:
            async with running.watched(namespace, NAME, digest, options.display) as run:
                async with run.steadily(PER_SECOND):
                    more = await DISTURBANCES[name](run)
                    await asyncio.sleep(6)
                found = result(name, run, more)
                after = await asyncio.to_thread(children, namespace)
                if after != before:
                    found.broken.append(f"{name}: children were {before} and are {after}")
                yield found


async def _kill_at_each_moment(run: Run) -> Json:
    took: Json = {}
    for number, moment in enumerate(MOMENTS, 1):
        run.phase(f"killed {moment} s after a change")
        before = run.said.generation
        await run.apply(changed(number))
        await asyncio.sleep(moment)
        await asyncio.to_thread(kill_operator)
        took[str(moment)] = round(await run.ready(before + 1), 1)
    return {"seconds_to_converged": took}


async def _restart(run: Run) -> Json:
    took: Json = {}
    for number, what in enumerate(("alone", "in the midst of a rollout"), 1):
        run.phase(f"API server restarted {what}")
        before = run.said.generation
        if number == 2:
            await run.apply(changed(100))
        await asyncio.to_thread(restart_api_server)
        if number == 1:
            await run.apply(changed(99))
        took[what] = round(await run.ready(before + 1, 300), 1)
    return {"seconds_to_converged": took}


async def _without_kserve(run: Run) -> Json:
    """Its webhooks are down as an update is asked for; then it is killed in the midst of one."""
    took: Json = {}
    # No pod is made while its webhook is away.
    await run.until(lambda said: said.ready == 2, 120, "at two replicas")
    before = run.said.generation
    run.phase("KServe away")
    await asyncio.to_thread(scale_kserve, 0)
    try:
        await run.apply(changed(200))
        told = await run.until(lambda said: _tells_of_webhook(said, before + 1), 30, "telling of the webhook")
        await asyncio.sleep(AWAY_SECONDS)
    finally:
        await asyncio.to_thread(scale_kserve, 1)
    took["away"] = round(await run.ready(before + 1, 300), 1)
    run.phase("KServe killed in the midst of a rollout")
    before = run.said.generation
    await run.apply(changed(201))
    await asyncio.sleep(MOMENTS[2])
    await asyncio.to_thread(kill_kserve)
    took["in the midst of a rollout"] = round(await run.ready(before + 1, 300), 1)
    return {"seconds_to_converged": took, "seconds_until_told": round(told, 1)}


DISTURBANCES: dict[str, Callable[[Run], Awaitable[Json]]] = {
    "operator-killed": _kill_at_each_moment,
    "api-server-restarted": _restart,
    "kserve-restarted": _without_kserve,
}


def _tells_of_webhook(said: Said, generation: int) -> bool:
    speaks = said.observed == said.generation >= generation and not said.says("UpToDate")
    why = said.conditions.get("Reconciling") == ("True", str(Reason.API_ERROR))
    return speaks and why and said.says("Serving") and "webhook" in said.messages["Reconciling"]


def changed(number: int) -> Json:
    """The spec with something in it that rolls the pods."""
    return spec(2) | {"batching": {"queueSize": 64 + number}}


def kill_operator() -> None:
    """SIGKILL, and a new pod at once: a container that is killed often would be started later and later."""
    for pod in kubectl.items("pods", "-n", SYSTEM_NAMESPACE, "-l", OPERATOR):
        if "deletionTimestamp" not in pod["metadata"]:
            node.kill(pod)
            delete = ("delete", "pod", pod["metadata"]["name"], "-n", SYSTEM_NAMESPACE)
            kubectl.kubectl(*delete, "--grace-period=0", "--force", "--wait=false")


def restart_api_server() -> None:
    """SIGKILL to the API server; returns once another one is ready."""
    before = kubectl.get("pod", API_SERVER, "kube-system")
    node.kill(before)

    def replaced() -> bool:
        try:
            after = kubectl.get("pod", API_SERVER, "kube-system")
        except CommandError:
            return False
        return node.container_id(after) != node.container_id(before) and kubectl.reachable()

    wait_for(replaced, 180, lambda: "the API server did not come back")


def scale_kserve(replicas: int) -> None:
    """KServe's controller, and with it its webhooks, gone or coming; returns once the old pod is gone."""
    kubectl.kubectl("scale", "deployment", *KSERVE, f"--replicas={replicas}")
    if not replicas:
        kubectl.kubectl("wait", "pod", "--for=delete", *KSERVE_POD, "--timeout=60s")


def kill_kserve() -> None:
    """SIGKILL to KServe's controller; the kubelet starts it again."""
    (pod,) = kubectl.items("pods", *KSERVE_POD)
    node.kill(pod)


def children(namespace: Namespace) -> dict[str, list[tuple[str, str]]]:
    """Name and uid of everything that one model has in its namespace, by kind."""
    return {
        kind: [
            (one["metadata"]["name"], one["metadata"]["uid"])
            for one in kubectl.items(kind, "-n", namespace.name)
        ]
        for kind in OWNED
    }
