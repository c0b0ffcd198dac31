"""kopf's part: watches that put keys into the queue, and settings that keep kopf from writing anything.

The handlers are coroutines, because kopf runs plain functions in threads and the queue belongs to the event
loop. There are only `on.event` handlers, so kopf adds no finalizer and no annotation. An annotation on an
InferenceService would travel into the pod template and roll every pod.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import kopf
from kubernetes.client import Configuration

from squeeze_operator import metrics, names
from squeeze_operator.audit import RETRY_SECONDS, WatchAudit
from squeeze_operator.cache import WatchCache
from squeeze_operator.health import watches
from squeeze_operator.names import Key, Resource
from squeeze_operator.news import News
from squeeze_operator.references import References
from squeeze_operator.session import connection
from squeeze_operator.slices import asks_for_sleep
from squeeze_operator.workqueue import WorkQueue

_OWNERS = (names.MODELS, names.TRAININGS)
OWNED = {
    **dict.fromkeys((*names.CHILDREN.values(), names.DEPLOYMENTS, names.PODS), names.MODEL_LABEL),
    # Workers themselves are looked at while their Job runs, for their progress.
    names.JOBS: names.TRAINING_LABEL,
    # Of models and of trainings.
    names.NETWORK_POLICIES: f"{names.MANAGED_BY_LABEL}={names.FIELD_MANAGER}",
}
"""The kinds whose events concern a model or training, and the label selector of their objects."""
_SLICES = {names.ENDPOINT_SLICES: names.ACTIVATOR_LABEL}
"""The activator's own, and those by which it stands in; watched where there is one."""
_KINDS = {names.MODEL_LABEL: names.KIND, names.TRAINING_LABEL: names.TRAINING_KIND}
_MEASURED = (names.AUTOSCALERS, names.SCALED_OBJECTS, names.TRAININGS)
"""Kinds whose status is written again and again with the load or the progress of the moment."""
_CHUNK = 100
"""Objects in an answer: a thousand models' lists of all kinds would need 130 MiB at once."""
_IDLE_SECONDS = 0.1
"""kopf holds the last event of an object for so long."""
_WATCHER = "watcher for "
"""How kopf begins the names of its watchers' tasks."""
HALT_SECONDS = 8.0
"""kopf itself gives what it has started 5 seconds to end."""
log = logging.getLogger(__name__)


class _NoDiffs(kopf.DiffBaseStorage):
    """Nothing to compare with: kopf would copy the object of every event, an eighth of our CPU time."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing."""


def owned(with_activator: bool) -> dict[Resource, str]:
    """The kinds to watch beside models and trainings, with their label selectors."""
    return OWNED | (_SLICES if with_activator else {})


def settings(namespaces: Sequence[str] = ()) -> kopf.OperatorSettings:
    """Watches that cannot stall for long, and no writes of kopf's own."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.persistence.progress_storage = kopf.MultiProgressStorage([])
    chosen.persistence.diffbase_storage = _NoDiffs()
    chosen.watching.server_timeout = 240
    chosen.watching.client_timeout = 300
    chosen.watching.connect_timeout = 10
    chosen.watching.inactivity_timeout = 90
    chosen.watching.chunk_size = _CHUNK
    chosen.queueing.idle_timeout = _IDLE_SECONDS
    chosen.networking.request_timeout = 30
    chosen.networking.trust_env = False
    # A list of namespaces or CRDs needs rights in the whole cluster, which an operator of some namespaces
    # does not have; the audit finds a kind that arrives later.
    chosen.scanning.disabled = bool(namespaces)
    # Without this the memory of the operator would grow with every pod of the cluster.
    for resource, labels in owned(with_activator=True).items():
        chosen.watching.label_selectors[_selector(resource)] = labels
    return chosen


def registry(
    configuration: Configuration,
    cache: WatchCache,
    audit: WatchAudit,
    queue: WorkQueue,
    kinds: Iterable[Resource] = OWNED,
) -> kopf.OperatorRegistry:
    """The handlers: each only notes the event and enqueues the owner's key."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return connection(configuration, (*_OWNERS, *kinds), cache.absences.list_ended)

    references = References()
    for resource in _OWNERS:
        kopf.on.event(*_selector(resource), registry=handlers, id=resource.plural)(
            owner_handler(resource, cache, audit, references, queue.add)
        )
    for resource in kinds:
        kopf.on.event(*_selector(resource), registry=handlers, id=resource.plural)(
            child_handler(resource, cache, queue.add_soon)
        )
    return handlers


class Watches:
    """Runs kopf, and runs it anew where it does not watch a kind that the API server serves.

    kopf misses a kind whose CRD is announced before discovery lists it, and goes on without a watcher that
    has died of an error.
    """

    def __init__(
        self,
        configuration: Configuration,
        namespaces: Sequence[str],
        cache: WatchCache,
        audit: WatchAudit,
        queue: WorkQueue,
        with_activator: bool = False,
    ) -> None:
        self._owned = owned(with_activator)
        self.kinds = (*_OWNERS, *self._owned)
        """All that is watched."""
        self._configuration = configuration
        self._namespaces = namespaces
        self._cache = cache
        self._audit = audit
        self._queue = queue
        self._halt = asyncio.Event()
        self._again = False
        self._started_at = time.monotonic()
        self._patience_seconds = 20.0

    async def run(self, stop: asyncio.Event) -> None:
        """Watches until `stop`, or until kopf has seen a signal, which sets `stop`."""
        while not stop.is_set():
            self._halt, self._again = asyncio.Event(), False
            self._started_at = time.monotonic()
            try:
                await self._watch()
            except Exception as error:
                # kopf gives up where a watched CRD is removed; the kinds that are left are watched anew.
                if getattr(error, "status", None) != 404:
                    raise
                log.warning("a watched kind is no longer served; starting the watches anew")
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if not self._again:
                stop.set()

    async def _watch(self) -> None:
        # Before kopf, which cancels every task that was started after it.
        halted = asyncio.create_task(self._halt.wait(), name="halt")
        watching = asyncio.create_task(
            kopf.operator(
                registry=registry(self._configuration, self._cache, self._audit, self._queue, self._owned),
                settings=settings(self._namespaces),
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                standalone=True,
                stop_flag=self._halt,
            ),
            name="kopf",
        )
        try:
            await asyncio.wait([watching, halted], return_when=asyncio.FIRST_COMPLETED)
            await _ended(watching)
        finally:
            halted.cancel()
            watching.cancel()

    def told(self) -> bool:
        """Whether the watches have told of all there is."""
        alive = running_watchers()
        kinds = {resource for resource in self.kinds if any(watches(name, resource) for name in alive)}
        return names.MODELS in kinds and self._cache.absences.listed(kinds, self._namespaces or (None,))

    async def halt_on(self, stop: asyncio.Event) -> None:
        """Ends kopf once `stop` is set."""
        await stop.wait()
        self.halt()

    def halt(self) -> None:
        """Ends kopf."""
        self._halt.set()

    def restart(self) -> None:
        """Lets kopf list and watch everything anew."""
        log.warning("starting the watches anew")
        # A cluster in which kopf takes long to start must not see it started over and over.
        self._patience_seconds = min(600.0, 2 * self._patience_seconds)
        self._again = True
        self.halt()

    def unwatched(self) -> list[Resource]:
        """The kinds for which no watcher is alive, once kopf has had time to start them."""
        if time.monotonic() - self._started_at < self._patience_seconds:
            return []
        alive = running_watchers()
        return [resource for resource in self.kinds if not any(watches(name, resource) for name in alive)]


async def _ended(watching: asyncio.Task[None]) -> None:
    """Returns or raises as kopf does, once it has been told to end.

    A watcher that waits for the answer to its request, and whose waiter for a pause is cancelled first, takes
    its own cancellation for that pause and goes on; kopf then waits for it for ever.
    """
    await asyncio.wait([watching], timeout=HALT_SECONDS)
    while not watching.done():
        for watcher in _watchers():
            watcher.cancel()
        await asyncio.wait([watching], timeout=1)
    await watching


def running_watchers() -> frozenset[str]:
    """The names of kopf's watchers that are alive, such as "watcher for pods.v1@None".

    kopf goes on without a watcher that has died of an error, so the health pages count them.
    """
    return frozenset(watcher.get_name() for watcher in _watchers())


def _watchers() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith(_WATCHER)]


def quiet_logs() -> None:
    """kopf logs each event of each pod; what matters is logged by the reconciles."""
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)


def owner_handler(
    resource: Resource,
    cache: WatchCache,
    audit: WatchAudit,
    references: References,
    enqueue: Callable[[Key], None],
) -> Callable[..., Awaitable[None]]:
    """kopf's handler for events of models or trainings."""
    news = News()

    async def on_owner(event: Mapping[str, Any], **_: Any) -> None:
        metadata = event["object"]["metadata"]
        _count(resource)
        # The echo of a status is worth a look: what it said first may be done now.
        cache.deliver(resource, event)
        gone = event.get("type") == "DELETED"
        audit.delivered(str(metadata["uid"]), str(metadata["resourceVersion"]), gone)
        key = Key(str(metadata["namespace"]), str(metadata["name"]), resource.kind)
        if resource is names.MODELS:
            references.note(key, {} if gone else event["object"])
        if resource in _MEASURED and not news.worth(event):
            return
        enqueue(key)
        for model in references.to(key):
            enqueue(model)

    return on_owner


def child_handler(
    resource: Resource, cache: WatchCache, enqueue: Callable[[Key], None]
) -> Callable[..., Awaitable[None]]:
    """kopf's handler for events of what belongs to models and trainings."""
    news = News()

    async def on_child(event: Mapping[str, Any], **_: Any) -> None:
        metadata = event["object"]["metadata"]
        _count(resource)
        fresh = cache.deliver(resource, event)
        if not fresh or (resource in _MEASURED and not news.worth(event)):
            return
        labels = metadata.get("labels") or {}
        for label, kind in _KINDS.items():
            if label in labels:
                enqueue(Key(str(metadata["namespace"]), str(labels[label]), kind))
        if resource is names.ENDPOINT_SLICES and names.MODEL_LABEL not in labels:
            # The activator's own pods have changed, whose addresses stand in for every model that may sleep.
            for model in filter(asks_for_sleep, cache.all(names.MODELS)):
                enqueue(Key(str(model["metadata"]["namespace"]), str(model["metadata"]["name"])))

    return on_child


def _count(resource: Resource) -> None:
    metrics.WATCH_EVENTS.labels(resource.kind).inc()
    metrics.LAST_WATCH_EVENT.labels(resource.kind).set_to_current_time()


def _selector(resource: Resource) -> tuple[str, str, str]:
    return (resource.group, resource.version, resource.plural)
