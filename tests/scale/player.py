"""Plays KServe's controller, the Deployment controller, the kubelet and the autoscaler for every model.

Each InferenceService gets a Deployment whose replicas are ready at once, two pods, and a route; each of our
autoscalers is told that it works. A changed InferenceService changes its Deployment; its pods stay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from integration.kserve import deployment, deployment_status, labels, service_status
from scale.client import Client, Json

SERVICES = "/apis/serving.kserve.io/v1beta1"
AUTOSCALERS = "/apis/autoscaling/v2"
REPLICAS = 2
SINCE = "2026-01-01T00:00:00Z"
_WORKERS = 8


class Player:
    """Runs until cancelled; `seen` is called with each InferenceService as it changes, and when."""

    def __init__(self, client: Client, namespaces: set[str], seen: Callable[[Json, float], None]) -> None:
        self._namespaces = namespaces
        """Where it plays; other services are somebody else's."""
        self._client = client
        self._seen = seen
        self._generations: dict[str, int] = {}
        self._queue: asyncio.Queue[Json] = asyncio.Queue()
        self.played = 0
        """How many times an InferenceService has been carried out."""

    async def run(self) -> None:
        """Plays for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(f"{SERVICES}/inferenceservices"))
            group.create_task(self._watch(f"{AUTOSCALERS}/horizontalpodautoscalers"))
            for _ in range(_WORKERS):
                group.create_task(self._work())

    async def _watch(self, path: str) -> None:
        listed = await self._client.get(path)
        for item in filter(self._mine, listed["items"]):
            self._queue.put_nowait(item | {"kind": listed["kind"].removesuffix("List")})
        async for event in self._client.watch(path, listed["metadata"]["resourceVersion"]):
            now, item = time.monotonic(), event["object"]
            if event["type"] == "DELETED" or not self._mine(item):
                continue
            if item["kind"] == "InferenceService":
                self._seen(item, now)
            self._queue.put_nowait(item)

    def _mine(self, item: Json) -> bool:
        return item["metadata"]["namespace"] in self._namespaces

    async def _work(self) -> None:
        while True:
            item = await self._queue.get()
            uid, generation = item["metadata"]["uid"], item["metadata"].get("generation", 1)
            if self._generations.get(uid) == generation:
                continue
            first = uid not in self._generations
            self._generations[uid] = generation
            if item["kind"] == "HorizontalPodAutoscaler":
                await self._scale(item)
            else:
                await self._serve(item, first)

    async def _scale(self, autoscaler: Json) -> None:
        active = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": ""}
        status = {"desiredReplicas": REPLICAS, "conditions": [active | {"lastTransitionTime": SINCE}]}
        path = f"{_namespaced(AUTOSCALERS, autoscaler)}/horizontalpodautoscalers"
        await self._client.patch(f"{path}/{autoscaler['metadata']['name']}/status", {"status": status})

    async def _serve(self, service: Json, first: bool) -> None:
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        path = f"{_namespaced('/apis/apps/v1', service)}/deployments"
        body = deployment(service)
        made = f"{path}/{name}-predictor"
        if first:
            live = await self._client.create(path, body)
            await self._pods(service, body["spec"]["template"])
        else:
            live = await self._client.patch(made, {"spec": {"template": body["spec"]["template"]}})
        status = deployment_status(live["metadata"]["generation"], REPLICAS, REPLICAS, REPLICAS)
        await self._client.patch(f"{made}/status", {"status": status})
        if first:
            route = {"status": service_status(namespace, name)}
            await self._client.patch(
                f"{_namespaced(SERVICES, service)}/inferenceservices/{name}/status", route
            )
        self.played += 1

    async def _pods(self, service: Json, template: Json) -> None:
        path = f"{_namespaced('/api/v1', service)}/pods"
        ready = {"type": "Ready", "status": "True"}
        for number in range(REPLICAS):
            name = f"{service['metadata']['name']}-predictor-{number}"
            metadata = {"name": name, "labels": labels(service)}
            await self._client.create(path, {"metadata": metadata, "spec": template["spec"]})
            status = {"phase": "Running", "conditions": [ready]}
            await self._client.patch(f"{path}/{name}/status", {"status": status})


async def ended(task: asyncio.Task[None]) -> None:
    """Ends a player's task; raises what it died of before."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _namespaced(root: str, item: Json) -> str:
    return f"{root}/namespaces/{item['metadata']['namespace']}"
