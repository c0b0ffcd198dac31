"""Wires the activator together: the watch, the proxy, and what it tells of itself."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from kubernetes.client import Configuration
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from squeeze_operator.activator import slicewatch
from squeeze_operator.activator.backends import Backends
from squeeze_operator.activator.metrics import REGISTRY
from squeeze_operator.activator.proxy import Proxy
from squeeze_operator.activator.settings import Settings
from squeeze_operator.health import Health, closing_pages
from squeeze_operator.names import Key

log = logging.getLogger(__name__)


async def run_until_signal(settings: Settings, configuration: Configuration) -> None:
    """Runs until SIGTERM or SIGINT, and then until all that is held is answered or given up."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    backends, health = Backends(), Health()
    await slicewatch.listed(configuration, settings.namespaces, backends.deliver)
    slicewatch.follow(configuration, settings.namespaces, backends.deliver, health)
    health.synced_at = time.monotonic
    with closing_pages(settings.health_port, health):
        async with serving(settings, backends):
            await stop.wait()


@contextlib.asynccontextmanager
async def serving(settings: Settings, backends: Backends) -> AsyncIterator[tuple[int, int]]:
    """Answers requests and reports; yields both ports. In the end, what is held has its time."""
    proxy = Proxy(settings, backends)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    requests = await _listen(app, settings.port, settings.hold_seconds)
    reports = await _listen(_reports(backends.held), settings.report_port, 1.0)
    try:
        yield _port(requests), _port(reports)
    finally:
        await requests.cleanup()
        await reports.cleanup()
        await proxy.close()


def _reports(count: Callable[[Key], int]) -> web.Application:
    async def held(request: web.Request) -> web.Response:
        key = Key(request.match_info["namespace"], request.match_info["model"])
        return web.json_response({"held": count(key)})

    async def shown(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/held/{namespace}/{model}", held), web.get("/metrics", shown)])
    return app


async def _listen(app: web.Application, port: int, patience: float) -> web.AppRunner:
    # A client that has left is held no longer.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=patience)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    log.info("listening on port %s", _port(runner))
    return runner


def _port(runner: web.AppRunner) -> int:
    # A free one differs between IPv4, whose addresses are the shorter ones, and IPv6.
    return int(min(runner.addresses, key=len)[1])
