"""One reconcile of one model or training: gather, decide, apply. Workers run it; nothing else calls it."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from squeeze_operator import logs, metrics, names
from squeeze_operator.api import Api, ApiError, KindMissing
from squeeze_operator.apply import apply_objects, apply_status
from squeeze_operator.cache import Reads, WatchCache
from squeeze_operator.decide import decide
from squeeze_operator.decision import Decision
from squeeze_operator.failures import failure_reason
from squeeze_operator.gather import ServedReader, gather
from squeeze_operator.modelstates import ModelStates
from squeeze_operator.names import Key, Resource
from squeeze_operator.scalehistory import ScaleHistory
from squeeze_operator.snapshot import ApplyError, Options, Snapshot
from squeeze_operator.training.decide import decide as decide_training
from squeeze_operator.training.gather import ProgressReader
from squeeze_operator.training.gather import gather as gather_training
from squeeze_operator.training.snapshot import TrainingSnapshot
from squeeze_operator.workqueue import WorkQueue

TIMEOUT_SECONDS = 60.0
"""A reconcile that takes longer is given up and tried again."""
ROUNDS = 3
"""How often one reconcile writes objects, each time by what the writes before have made possible."""
log = logging.getLogger(__name__)
Json = Mapping[str, Any]
S = TypeVar("S", Snapshot, TrainingSnapshot)


class Readers(NamedTuple):
    """How pods are asked about themselves: replicas what they serve, leading workers how far they are."""

    served: ServedReader
    progress: ProgressReader


class Reconciler:
    """Brings one model or training after another to where it should be."""

    def __init__(
        self, api: Api, cache: WatchCache, options: Options, readers: Readers, history: ScaleHistory
    ) -> None:
        self._api = api
        self._cache = cache
        self._options = options
        self._readers = readers
        self._history = history
        self._states = ModelStates()

    async def reconcile(self, key: Key, live: bool, rounds: int = ROUNDS) -> Decision | None:
        """What was decided, or None where the object is gone; `live` looks past what the watches told.

        Raises ApiError where it must be tried again.
        """
        reads = Reads(self._api, self._cache, key, live)
        if key.kind == names.TRAINING_KIND:
            return await self._training(reads, key, rounds)
        return await self._model(reads, key, rounds)

    async def _model(self, reads: Reads, key: Key, rounds: int) -> Decision | None:
        snapshot = await gather(reads, key, self._options, self._readers.served, self._history)
        if snapshot is None:
            self._states.forget(key)
            return None
        return await self._apply(reads, key, rounds, names.MODELS, snapshot.model, snapshot, decide)

    async def _training(self, reads: Reads, key: Key, rounds: int) -> Decision | None:
        try:
            snapshot = await gather_training(reads, key, self._options, self._readers.progress)
        except KindMissing:
            # The CRD of the models alone is enough to serve them.
            return None
        if snapshot is None:
            return None
        return await self._apply(
            reads, key, rounds, names.TRAININGS, snapshot.training, snapshot, decide_training
        )

    async def _apply(
        self,
        reads: Reads,
        key: Key,
        rounds: int,
        resource: Resource,
        owner: Json,
        snapshot: S,
        decide: Callable[[S], Decision],
    ) -> Decision | None:
        """Carries a decision out; a failed write is decided upon again, told in the status, and raised."""
        decision, failure, changed = decide(snapshot), None, False
        try:
            changed = await apply_objects(self._api, self._cache, key, snapshot.children, decision)
        except ApiError as error:
            if error.status == 409 and not reads.live:
                # It is not as the watches told; a stranger's object, say, that has the name of one of ours.
                return await self.reconcile(key, live=True, rounds=rounds)
            failure = error
            seen = ApplyError(error.message, error.rejected)
            decision = decide(dataclasses.replace(snapshot, apply_error=seen))
        if changed and rounds > 1:
            # The status is to tell of what was made just now, of which no event will tell.
            return await self.reconcile(key, live=False, rounds=rounds - 1)
        if resource is names.MODELS and decision.status is not None:
            self._states.tell(key, decision.status)
        await apply_status(self._api, self._cache, resource, owner, decision)
        if failure is not None:
            raise failure
        return dataclasses.replace(decision, look_again=decision.look_again or changed)


class Worker:
    """Takes keys from the queue for ever; `busy_since` is for the liveness probe."""

    def __init__(self, queue: WorkQueue, reconciler: Reconciler, resync_seconds: float) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._resync_seconds = resync_seconds
        self.busy_since: float | None = None

    async def run(self) -> None:
        """Runs until cancelled. No model's failure ends it."""
        while True:
            key, live = await self._queue.take()
            with self._queue.handling(key):
                self.busy_since = time.monotonic()
                with metrics.RECONCILE_SECONDS.time(), logs.about(key):
                    await self._handle(key, live)
                self.busy_since = None

    async def _handle(self, key: Key, live: bool) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                decision = await self._reconciler.reconcile(key, live)
        except ApiError as error:
            # 409: somebody else was faster. The next look sees what they did.
            level = logging.INFO if error.status == 409 else logging.WARNING
            self._retry(key, error, level, f"HTTP {error.status}: {error.message}")
        except TimeoutError as error:
            self._retry(key, error, logging.WARNING, f"no result within {TIMEOUT_SECONDS:.0f} s")
        except Exception as error:
            # A defect of ours must not take the other models down with it; it is loud in the log.
            log.exception("the reconcile failed", extra={"reason": failure_reason(error)})
            self._retry(key, error, logging.ERROR, "internal error")
        else:
            self._settle(key, decision)

    def _settle(self, key: Key, decision: Decision | None) -> None:
        metrics.RECONCILES.labels("succeeded").inc()
        self._queue.succeeded(key)
        if decision is None:
            self._queue.forget(key)
            return
        if decision.follow_seconds is not None:
            self._queue.resync(key, min(decision.follow_seconds, self._resync_seconds))
        elif decision.look_again:
            self._queue.again(key, self._resync_seconds)
        else:
            self._queue.resync(key, self._resync_seconds)

    def _retry(self, key: Key, error: Exception, level: int, why: str) -> None:
        reason = failure_reason(error)
        metrics.RECONCILES.labels("failed").inc()
        metrics.RECONCILE_ERRORS.labels(reason).inc()
        delay = self._queue.failed(key)
        log.log(level, "%s; again in %.1f s", why, delay, extra={"reason": reason})
