"""One model on the cluster under load, sampled all the while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from e2e.models import Namespace, wait_for
from kubernetes import config
from kubernetes.client import Configuration
from load.display import Display
from load.sampling import Said, Sample, Sampler
from load.sending import OpenLoop, Request, classify
from load.shapes import steady
from squeeze_cluster import kubectl, paths
from squeeze_cluster.settings import INGRESS_DOMAIN
from squeeze_operator.api import Api

from bench import pictures
from bench.client import Client

Json = dict[str, Any]
Reached = Callable[[Said], bool]


@dataclass
class Run:
    """What was sent and seen so far, and the ways to go on."""

    namespace: Namespace
    name: str
    loop: OpenLoop
    sampler: Sampler
    display: Display
    marks: dict[str, float] = field(default_factory=dict)

    @property
    def requests(self) -> list[Request]:
        """Every request that was answered or has failed."""
        return self.loop.requests

    @property
    def samples(self) -> list[Sample]:
        """Every look at the model, in order."""
        return self.sampler.samples

    @property
    def said(self) -> Said:
        """What the model said last. Raises TimeoutError where it has not said anything yet."""
        for sample in reversed(self.samples):
            if sample.said is not None:
                return sample.said
        raise TimeoutError("the model was never read")

    def phase(self, text: str) -> float:
        """Names what begins now; the monotonic second."""
        self.display.phase = text
        self.marks[text] = time.monotonic()
        return self.marks[text]

    async def send(self, due: Iterable[float]) -> None:
        """Sends by these seconds from now, and waits for every answer."""
        await self.loop.run(due)

    @asynccontextmanager
    async def steadily(self, per_second: float) -> AsyncIterator[None]:
        """Sends evenly meanwhile."""
        stop = asyncio.Event()
        sending = asyncio.create_task(self.loop.run(steady(per_second), stop))
        try:
            yield
        finally:
            stop.set()
            await sending

    async def apply(self, spec: Json, digest: str = "") -> None:
        """kubectl apply of another spec, whose weights have this digest (or those that they have now)."""
        self.sampler.expected = digest or self.sampler.expected
        await asyncio.to_thread(self.namespace.apply_model, self.name, spec)

    async def until(self, reached: Reached, seconds: float, what: str) -> float:
        """Waits for what the model says; the seconds that it took. Raises TimeoutError with what it says."""
        began = time.monotonic()
        while True:
            fresh = [one.said for one in self.samples[-3:] if one.at >= began and one.said is not None]
            if any(map(reached, fresh)):
                return time.monotonic() - began
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"not {what} in {seconds:.0f} s: {self.samples[-1:]}")
            await asyncio.sleep(0.2)

    async def ready(self, generation: int, seconds: float = 180) -> float:
        """Waits until all replicas run the spec of this generation or a later one."""
        return await self.until(lambda said: is_ready(said, generation), seconds, "Ready")


def is_ready(said: Said, generation: int) -> bool:
    """Whether the model is Ready for the spec of this generation or a later one."""
    return said.observed == said.generation >= generation and said.says("Ready") and said.says("UpToDate")


@asynccontextmanager
async def watched(namespace: Namespace, name: str, digest: str, display: Display) -> AsyncIterator[Run]:
    """A model that answers already, sampled and shown meanwhile; its present weights have this digest."""
    host = f"{name}-{namespace.name}.{INGRESS_DOMAIN}"
    client = Client("127.0.0.1", namespace.settings.gateway_port)
    probes = Client("127.0.0.1", namespace.settings.gateway_port)
    async with Api(_configuration()) as api:
        sampler = Sampler(api, probes, namespace.name, name, host, digest)
        loop = OpenLoop(classify(client, pictures.digit(), name, host))
        run = Run(namespace, name, loop, sampler, display)
        beside = [
            asyncio.create_task(sampler.run()),
            asyncio.create_task(display.follow(loop.requests, sampler.samples)),
        ]
        try:
            await run.until(lambda _: True, 30, "read")
            yield run
        finally:
            await _end(beside)
            client.close()
            probes.close()


def start(namespace: Namespace, name: str, spec: Json) -> str:
    """Applies a model and waits until it answers through the gateway; its weights' digest."""
    namespace.apply_model(name, spec)
    namespace.wait_ready(name)
    namespace.ask_soon(name, pictures.digit().data)
    wait_for(lambda: bool(_digest(namespace.model(name))), 60, lambda: str(namespace.model(name)))
    return _digest(namespace.model(name))


def _digest(model: kubectl.Object) -> str:
    return str((model.get("status", {}).get("weights") or {}).get("digest", ""))


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
            raise ended


def _configuration() -> Configuration:
    """The platform's own kubeconfig."""
    configuration = Configuration()
    config.load_kube_config(config_file=str(paths.KUBECONFIG), client_configuration=configuration)  # type: ignore[no-untyped-call]
    return configuration
