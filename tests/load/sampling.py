"""Samples what a SqueezeModel says of itself, beside what is so: who answers, and with which weights."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from squeeze_operator import names
from squeeze_operator.api import Api, ApiError

from bench.client import Client

EVERY_SECONDS = 0.5
PROBES = 4
"""Questions a sample: enough that a replica of two is hardly missed in two samples."""
PROBE_SECONDS = 10.0
"""Longer than an answer takes on a machine that has too much to do: slow is not silent."""
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """What the API server holds of a model: its conditions as (status, reason), and replicas."""

    generation: int
    observed: int
    conditions: Mapping[str, tuple[str, str]]
    messages: Mapping[str, str]
    digest: str
    wanted: int = 0
    ready: int = 0

    def says(self, condition: str) -> bool:
        """Whether a condition is True."""
        return self.conditions.get(condition, ("", ""))[0] == "True"


@dataclass(frozen=True)
class Sample:
    """One look: `said` is None where the API server was silent; `answers` has each probe's digest or ""."""

    at: float
    said: Said | None
    answers: tuple[str, ...]
    expected: str = ""
    """The digest of the spec that was applied last; "" where the scenario does not know."""

    @property
    def answered(self) -> bool:
        """Whether some probe was answered."""
        return any(self.answers)


@dataclass
class Sampler:
    """Looks twice a second until cancelled."""

    api: Api
    client: Client
    namespace: str
    name: str
    host: str
    expected: str = ""
    samples: list[Sample] = field(default_factory=list)

    async def run(self) -> None:
        """Samples until cancelled."""
        async with asyncio.TaskGroup() as group:
            due = time.monotonic()
            while True:
                group.create_task(self._sample())
                due += EVERY_SECONDS
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _sample(self) -> None:
        began, expected = time.monotonic(), self.expected
        probing = asyncio.gather(*(self._probe() for _ in range(PROBES)))
        said, answers = await asyncio.gather(self._said(), probing)
        self.samples.append(Sample(began, said, tuple(answers), expected))
        self.samples.sort(key=lambda sample: sample.at)

    async def _said(self) -> Said | None:
        try:
            model = await self.api.get(names.MODELS, self.namespace, self.name)
            deployment = await self.api.get(
                names.DEPLOYMENTS, self.namespace, names.predictor_name(self.name)
            )
        except (ApiError, httpx.HTTPError):
            return None
        return said(model, deployment) if model else None

    async def _probe(self) -> str:
        """The digest that one replica answers with, "" where none answers."""
        request = f"GET /v2/models/{self.name} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                answer = await self.client.ask(request)
            return str(orjson.loads(answer.body)["properties"]["weights_digest"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""


def said(model: Json, deployment: Json | None) -> Said:
    """What the two objects tell."""
    status = model.get("status") or {}
    counts = (deployment or {}).get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or []}
    return Said(
        generation=model["metadata"]["generation"],
        observed=status.get("observedGeneration", -1),
        conditions={kind: (one["status"], one["reason"]) for kind, one in conditions.items()},
        messages={kind: one["message"] for kind, one in conditions.items()},
        digest=(status.get("weights") or {}).get("digest", ""),
        wanted=((deployment or {}).get("spec") or {}).get("replicas", 0),
        ready=counts.get("readyReplicas", 0),
    )
