"""Many SqueezeModels, spread over namespaces, and how they are made, changed and counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from scale.client import Client, Json

ROOT = "/apis/squeezeserve.io/v1alpha1"
_KINDS = (
    (ROOT, "squeezemodels"),
    ("/apis/serving.kserve.io/v1beta1", "inferenceservices"),
    ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    ("/apis/policy/v1", "poddisruptionbudgets"),
    ("/apis/apps/v1", "deployments"),
    ("/api/v1", "pods"),
)
_PER_NAMESPACE = 50
_AT_ONCE = 8


class Crowd:
    """The models `model-0` to `model-<number - 1>`, fifty in a namespace."""

    def __init__(self, client: Client, number: int, team: str = "team") -> None:
        self._client = client
        self._namespaces = [f"{team}-{index // _PER_NAMESPACE}" for index in range(number)]
        self.changed: dict[int, float] = {}
        """When a change was sent, by the size of the queue that it asked for."""
        self.arrived: dict[int, float] = {}
        """When the InferenceService had it."""

    async def create(self) -> None:
        """Makes namespaces and models."""
        for name in sorted(self.namespaces):
            await self._client.create("/api/v1/namespaces", {"metadata": {"name": name}})
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(index: int) -> None:
            body = {
                "apiVersion": "squeezeserve.io/v1alpha1",
                "kind": "SqueezeModel",
                "metadata": {"name": f"model-{index}"},
                "spec": {"weights": {"uri": "builtin://digits"}},
            }
            async with gate:
                await self._client.create(self._models(index), body)

        await asyncio.gather(*(one(index) for index in range(len(self._namespaces))))

    @property
    def namespaces(self) -> set[str]:
        """Where they are."""
        return set(self._namespaces)

    async def delete(self) -> None:
        """Removes the models and all that was made for them; no garbage collector runs here."""
        for namespace in self.namespaces:
            for root, kind in _KINDS:
                await self._client.delete(f"{root}/namespaces/{namespace}/{kind}")

    async def change(self, seconds: float, per_second: float, first: int = 1000) -> None:
        """Changes one model after another by the clock, each in a way that rolls its replicas.

        Nothing waits for an answer, so that a slow operator cannot slow the changes down.
        """
        begun, tasks = time.monotonic(), []
        for number in range(round(seconds * per_second)):
            await asyncio.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            size, index = first + number, number % len(self._namespaces)
            self.changed[size] = time.monotonic()
            path = f"{self._models(index)}/model-{index}"
            body = {"spec": {"batching": {"queueSize": size}}}
            tasks.append(asyncio.create_task(self._client.patch(path, body)))
        await asyncio.gather(*tasks)

    def seen(self, service: Json, at: float) -> None:
        """Notes the change that an InferenceService carries, and those before it that it has overtaken."""
        arguments: Iterable[str] = service["spec"]["predictor"]["containers"][0]["args"]
        size = int(next(flag for flag in arguments if flag.startswith("--queue-size=")).partition("=")[2])
        while size in self.changed and size not in self.arrived:
            self.arrived[size] = at
            size -= len(self._namespaces)

    async def conditions(self, kind: str) -> int:
        """How many of them have a condition with status True that speaks of their present spec."""
        models = (await self._client.get(f"{ROOT}/squeezemodels"))["items"]
        return sum(
            condition["type"] == kind
            and condition["status"] == "True"
            and condition["observedGeneration"] == model["metadata"]["generation"]
            for model in models
            if model["metadata"]["namespace"] in self.namespaces
            for condition in model["status"].get("conditions", [])
        )

    def _models(self, index: int) -> str:
        return f"{ROOT}/namespaces/{self._namespaces[index]}/squeezemodels"
