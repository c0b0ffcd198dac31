"""Wires the parts together and runs them in one event loop. Each concern has a module of its own."""

import asyncio
import contextlib
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from kubernetes.client import Configuration
from prometheus_client import start_http_server

from squeeze_operator import metrics, names, watch
from squeeze_operator.api import Api
from squeeze_operator.audit import WatchAudit, key_of, run_audit
from squeeze_operator.cache import WatchCache
from squeeze_operator.gather import ServedReader as Reader
from squeeze_operator.health import Health, closing_pages
from squeeze_operator.names import Resource
from squeeze_operator.reconcile import Readers, Reconciler, Worker
from squeeze_operator.scalehistory import ScaleHistory
from squeeze_operator.served import ServedReader
from squeeze_operator.settings import Settings
from squeeze_operator.training.census import Census, list_trainings
from squeeze_operator.training.gather import ProgressReader as TrainingReader
from squeeze_operator.training.progress import ProgressReader
from squeeze_operator.workqueue import WorkQueue

FIRST_LISTS_SECONDS = 60.0
"""Longer than the lists of ten thousand models take; without a list, looks ask for each object."""
log = logging.getLogger(__name__)
Json = dict[str, Any]


class OperatorError(RuntimeError):
    """A part that should run for ever has ended; the process must be started again."""


async def run(
    settings: Settings,
    configuration: Configuration,
    stop: asyncio.Event,
    read_served: Reader | None = None,
    read_progress: TrainingReader | None = None,
    health: Health | None = None,
) -> None:
    """Runs the operator until `stop` is set. Raises OperatorError when a part dies."""
    health = health or Health()
    queue, audit, cache = WorkQueue(), WatchAudit(), WatchCache()
    asking, progress, history = ServedReader(), ProgressReader(), ScaleHistory()
    census = Census()
    async with Api(configuration) as api, contextlib.AsyncExitStack() as closing:
        closing.push_async_callback(asking.close)
        closing.callback(queue.close)
        closing.push_async_callback(progress.close)
        readers = Readers(read_served or asking, read_progress or progress)
        reconciler = Reconciler(api, cache, settings.options, readers, history)
        workers = [Worker(queue, reconciler, settings.resync_seconds) for _ in range(settings.workers)]
        health.busy_since = lambda: [worker.busy_since for worker in workers]
        health.watch_lag, health.synced_at = audit.lag, lambda: audit.synced_at
        health.audit_seconds = settings.audit_seconds
        metrics.AUDIT_INTERVAL.set(settings.audit_seconds)

        with_activator = settings.options.activator is not None
        watches = watch.Watches(configuration, settings.namespaces, cache, audit, queue, with_activator)

        async def owners() -> list[Json]:
            scopes = settings.namespaces or (None,)
            models = [
                model | {"kind": names.KIND}
                for scope in scopes
                for model in await api.list_metadata(names.MODELS, scope)
            ]
            uids = frozenset(str(model["metadata"]["uid"]) for model in models)
            asking.forget_except(uids)
            history.forget_except(uids)
            metrics.MODELS.set(len(models))
            trainings = await list_trainings(api, scopes)
            census.count(trainings)
            listed = [*models, *trainings]
            cache.absences.forget_except({key_of(owner) for owner in listed})
            return listed

        parts: dict[str, Coroutine[Any, Any, None]] = {
            f"worker {number}": _once(lambda: audit.synced_at is not None, worker.run)
            for number, worker in enumerate(workers)
        }

        scope = next(iter(settings.namespaces), None)

        async def unwatched() -> bool:
            return any([await api.serves(resource, scope) for resource in watches.unwatched()])

        async def optional_kinds() -> dict[Resource, bool]:
            return {resource: await api.serves(resource, scope) for resource in names.OPTIONAL}

        def note_kind(resource: Resource, served: bool) -> None:
            cache.note_kind(resource, served)
            if not served:
                health.forget_watchers(resource)

        audits = partial(
            run_audit,
            audit,
            owners,
            partial(queue.add, live=True),
            unwatched,
            optional_kinds,
            note_kind,
            watches.restart,
            settings.audit_seconds,
        )
        # Else the first would find that no watch has told of anything, and have all looked at live.
        parts["audit"] = _once(watches.told, audits)
        parts["heartbeat"] = _beat(health, cache, watches)
        parts["stopper"] = watches.halt_on(stop)
        with closing_pages(settings.health_port, health):
            await _supervise(parts, watches, stop, health)


async def _supervise(
    parts: dict[str, Coroutine[Any, Any, None]],
    watches: watch.Watches,
    stop: asyncio.Event,
    health: Health,
) -> None:
    """Runs everything until the stop or the first death."""
    tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
    # kopf cancels every task that was started after it, so it comes last, when all of ours exist.
    await asyncio.sleep(0)
    watching = asyncio.create_task(watches.run(stop), name="watcher")
    try:
        done, _ = await asyncio.wait([*tasks, watching], return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            health.dead = [task.get_name() for task in done]
            for task in done:
                cause = None if task.cancelled() else task.exception()
                log.error("%s died", task.get_name(), exc_info=cause)
            raise OperatorError(f"{', '.join(health.dead)} died")
    finally:
        stop.set()
        watches.halt()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, watching, return_exceptions=True)


async def _once(ready: Callable[[], bool], work: Callable[[], Awaitable[None]]) -> None:
    """Does the work when all is ready that spares it questions, or some time has passed."""
    deadline = time.monotonic() + FIRST_LISTS_SECONDS
    while time.monotonic() < deadline and not ready():
        await asyncio.sleep(0.05)
    await work()


async def _beat(health: Health, cache: WatchCache, watches: watch.Watches) -> None:
    while True:
        health.beat(watch.running_watchers())
        cache.absences.watched(health.watched(watches.kinds))
        await asyncio.sleep(1)


def serve_metrics(port: int) -> None:
    """Prometheus metrics on /metrics, from a thread of its own."""
    start_http_server(port)


async def run_until_signal(
    settings: Settings, configuration: Configuration, read_served: Reader | None = None
) -> None:
    """Runs until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    await run(settings, configuration, stop, read_served)
