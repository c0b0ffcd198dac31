"""An activator in this event loop, replicas that it can hand requests to, and clients that ask it."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, web
from squeeze_operator.activator.backends import Backends
from squeeze_operator.activator.main import serving
from squeeze_operator.activator.settings import Settings
from squeeze_operator.names import Key

DIGITS = Key("team", "digits")
HEADERS = {"KServe-Isvc-Name": "digits", "KServe-Isvc-Namespace": "team"}
Answer = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


def slice_of(*addresses: str, name: str = "digits-1", model: str = "digits") -> dict[str, Any]:
    """A watch event of a slice with these ready replicas."""
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    metadata = {"namespace": "team", "name": name, "labels": {"squeezeserve.io/model": model}}
    return {
        "object": {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints},
        "type": "MODIFIED",
    }


@dataclass
class Running:
    """An activator that answers on `url` and tells of itself on `reports`."""

    backends: Backends
    client: ClientSession
    url: str
    reports: str

    async def held(self) -> int:
        """What KEDA would be told."""
        async with self.client.get(f"{self.reports}/held/team/digits") as answer:
            number: int = (await answer.json())["held"]
            return number


@asynccontextmanager
async def replica(answer: Answer, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Something that answers in the place of a predictor; yields its port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def activator(**settings: Any) -> AsyncIterator[Running]:
    """An activator that knows of the model and of no replica."""
    backends = Backends()
    backends.deliver(slice_of())
    chosen = Settings(port=0, report_port=0, **settings)
    async with ClientSession() as client, serving(chosen, backends) as (port, report_port):
        yield Running(backends, client, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{report_port}")
