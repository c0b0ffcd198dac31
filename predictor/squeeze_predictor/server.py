"""The SDK's model server, narrowed to what this server offers and taught to start and stop in order.

From the SDK: the model, its registry, the data plane and the protocol's types. Its REST server is replaced:
its routes would let anybody unload the model, and read bodies of any size, and it takes a second to import.
Ours is the same uvicorn with Starlette's routes, which answers before the model is loaded, and drains.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import socket
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from squeeze_predictor import announce, handlers, metrics
from squeeze_predictor.access_log import AccessLog
from squeeze_predictor.admission import Admission, BodyBudget
from squeeze_predictor.body import BodyReader
from squeeze_predictor.guard import Guard
from squeeze_predictor.http_observer import HttpObserver
from squeeze_predictor.lifecycle import Lifecycle, Phase
from squeeze_predictor.listener import url_of
from squeeze_predictor.model import SqueezeModel
from squeeze_predictor.network import Network
from squeeze_predictor.observing import Observer
from squeeze_predictor.progress import Progress
from squeeze_predictor.routes import health, v1, v2
from squeeze_predictor.routes.context import Context
from squeeze_predictor.sdk import DataPlane, ModelRepository
from squeeze_predictor.settings import Settings
from squeeze_predictor.turnstile import Gate, Turnstile, routes_of

if TYPE_CHECKING:
    from squeeze_predictor.grpc_server import GrpcServer

log = logging.getLogger(__name__)

# Beyond what one request may send, so that a few large ones fit beside many small ones.
BODY_BUDGET_REQUESTS = 4
KEEP_ALIVE_SECONDS = 75
# Beside the calls that wait: those that the full queue refuses, and health checks, which must go on.
SPARE_CALLS = 1000
# For the first request of a client that had just connected when the server stopped listening.
SETTLE_SECONDS = 2.0


def build_context(settings: Settings, lifecycle: Lifecycle, admission: Admission) -> Context:
    """What the routes need, around the SDK's registry of the one model."""
    model = SqueezeModel(settings.model_name, lifecycle, admission)
    registry = ModelRepository()
    registry.update(model)
    reader = BodyReader(BodyBudget(settings.max_body * BODY_BUDGET_REQUESTS), settings.body_timeout)
    return Context(settings, lifecycle, model, DataPlane(registry), reader)


def build_app(context: Context, observers: Sequence[Observer] = ()) -> Starlette:
    """The application: our routes and error handlers; no pages for people, no administration."""
    watch = [Middleware(HttpObserver, observers=observers)] if observers else []
    guard = Middleware(Guard, stopping=lambda: context.lifecycle.draining)
    app = Starlette(
        # v1 before the pages, whose "/v1/models/{model_name}" would match ":predict" too.
        routes=[*_classifying(context), *health.routes(context)],
        middleware=[*watch, guard],
        exception_handlers=handlers.HANDLERS,
    )
    app.router.redirect_slashes = False
    return app


def build_gate(context: Context, observers: Sequence[Observer] = ()) -> Gate:
    """What keeps pictures from the application while the queue is full."""
    return Gate(
        routes=routes_of(_classifying(context), context.settings.model_name),
        full=context.model.admission.full,
        stopping=lambda: context.lifecycle.draining,
        observers=observers,
    )


def _classifying(context: Context) -> list[Route]:
    return [*v1.routes(context), *v2.routes(context)]


class _Uvicorn(uvicorn.Server):
    """uvicorn with the signals left to the model server, which has a drain phase before the shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening first, and only later close connections that have sent nothing yet.

        uvicorn does both at once, which resets a client whose request is on its way.
        """
        for listener in sockets or []:
            await self._accept_pending(listener)
        for server in self.servers:
            server.close()
        end = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while self._silent_clients() and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _silent_clients(self) -> bool:
        """Whether a connection has not brought a request yet."""
        connections: Iterable[Any] = self.server_state.connections
        return any(connection.cycle is None for connection in connections)

    async def _accept_pending(self, listener: socket.socket) -> None:
        """Take what only the kernel has accepted yet: closing the listener would reset it."""
        config, loop = self.config, asyncio.get_running_loop()
        protocol: Any = config.http_protocol_class
        listener.setblocking(False)
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            await loop.connect_accepted_socket(
                lambda: protocol(
                    config=config, server_state=self.server_state, app_state=self.lifespan.state
                ),
                connection,
            )


class _RestServer:
    """uvicorn on a socket that is already bound."""

    def __init__(self, app: Starlette, gate: Gate, settings: Settings) -> None:
        protocol: Any = partial(Turnstile, gate)
        config = uvicorn.Config(
            app,
            http=protocol,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            # The guard owns the application's errors and nothing here needs startup hooks.
            lifespan="off",
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
        )
        self._server = _Uvicorn(config)

    async def serve_on(self, listener: socket.socket) -> None:
        """Answer on an already bound socket until told to stop."""
        await self._server.serve(sockets=[listener])

    def stop(self) -> None:
        """Close idle connections, finish requests in flight, then return from `serve_on`."""
        self._server.should_exit = True


class PredictorServer:
    """Serves one model on one socket; it answers health probes while that model is still loading.

    Args:
        settings: what the server was told.
        workers: requests that compute at a time.
        tracing: the observer that traces requests, if there is one.
    """

    def __init__(self, settings: Settings, workers: int, tracing: Sequence[Observer] = ()) -> None:
        self._settings = settings
        self._progress = Progress(settings.stall_seconds)
        self._lifecycle = Lifecycle(self._progress)
        self._workers = workers
        # Outermost, so that it sees the trace's id.
        access_log = [AccessLog(settings.access_log)] if settings.access_log else []
        self._observers: list[Observer] = [*access_log, *tracing]

    def run(self, listener: socket.socket, loading: Future[Network]) -> None:
        """Serve until SIGTERM or SIGINT. Raises StartError when the model could not be loaded.

        Requests that have outlived the grace are left behind, with their threads, for the process to end.
        """
        # Closing it would wait for them.
        asyncio.Runner(loop_factory=uvloop.new_event_loop).run(self._run(listener, loading))

    async def _run(self, listener: socket.socket, loading: Future[Network]) -> None:
        settings, stop = self._settings, asyncio.Event()
        admission = Admission(self._workers, settings.queue_size, settings.queue_timeout, self._progress)
        context = build_context(settings, self._lifecycle, admission)
        gate = build_gate(context, self._observers)
        rest = _RestServer(build_app(context, self._observers), gate, settings)
        self._handle_signals(asyncio.get_running_loop(), stop)
        serving = asyncio.create_task(rest.serve_on(listener))
        rpc: GrpcServer | None = None
        try:
            rpc = await self._start_grpc(context)
            network = await asyncio.wrap_future(loading)
            gc.freeze()
            gc.enable()
            self._announce(network, url_of(listener))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            rest.stop()
            closing = [serving, rpc.stop(settings.grace_seconds)] if rpc else [serving]
            await asyncio.gather(*closing)
            admission.close()

    async def _start_grpc(self, context: Context) -> GrpcServer | None:
        if not self._settings.grpc_port:
            return None
        # In a thread, because the port must go on answering while the library is imported.
        module = await asyncio.to_thread(importlib.import_module, "squeeze_predictor.grpc_server")
        concurrent = self._workers + self._settings.queue_size + SPARE_CALLS
        server: GrpcServer = module.GrpcServer(context, concurrent, self._observers)
        await server.start()
        return server

    def _announce(self, network: Network, url: str) -> None:
        self._lifecycle.loaded(network)
        config = network.artifact.config
        metrics.MODEL_INFO.labels(
            model=self._settings.model_name,
            architecture=config.architecture,
            engine=network.engine.name,
            device=network.engine.device,
            precision=network.engine.precision,
            digest=network.artifact.digest,
        ).set(1)
        metrics.PASSED_OVER.set(len(network.passed_over))
        for rate in network.capacity:
            metrics.CAPACITY.labels(batch=str(rate.batch)).set(rate.pictures_per_second)
            metrics.CAPACITY_SECONDS.labels(batch=str(rate.batch)).set(rate.seconds)
        print(announce.lines(self._settings.model_name, url, network), flush=True)

    def _handle_signals(self, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        def on_signal(sig: int) -> None:
            if self._lifecycle.phase is Phase.LOADING:
                # Nothing was accepted, and the loader cannot be interrupted: leave without it.
                os._exit(0)
            # A second signal, or a person's Ctrl-C, need not wait for load balancers.
            at_once = self._lifecycle.draining or sig == signal.SIGINT
            self._lifecycle.drain()
            log.info("stopping: no longer ready; requests in flight are finished")
            loop.call_later(0 if at_once else self._settings.drain_seconds, stop.set)

        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, on_signal, sig)
