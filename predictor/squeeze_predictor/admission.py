"""Who may use a worker, and when: a bounded queue before a bounded pool of threads.

Decoding and inference block, so they run in the pool and the event loop stays free for health probes. The
bound counts pictures. A request that finds no room is refused at once; one that is cancelled, as that of a
client who has left, is dropped before any work is done for it. Parts of requests take turns: a request holds
at most as many places in the line as there are workers, so one of many pictures cannot keep a single picture
waiting behind all of them.
Lives on the event loop: not safe to call from other threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from squeeze_predictor import metrics
from squeeze_predictor.batcher import Batcher
from squeeze_predictor.errors import ApiError
from squeeze_predictor.network import Network
from squeeze_predictor.parts import Part, Rows
from squeeze_predictor.progress import Progress
from squeeze_predictor.work import Job, Work

T = TypeVar("T")

RETRY_AFTER_SECONDS = 1


class Admission:
    """`workers` parts at a time; `queue_size` more pictures wait, each at most `queue_timeout` seconds."""

    def __init__(self, workers: int, queue_size: int, queue_timeout: float, progress: Progress) -> None:
        self._limit = workers
        self._capacity = workers + queue_size
        self._timeout = queue_timeout
        self._progress = progress
        self._admitted = 0
        self._workers = asyncio.Semaphore(workers)
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="worker")
        self._parsers = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="parser")
        self._engine = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._batcher = Batcher(lambda call: self._watched(self._engine, call))

    def full(self) -> ApiError | None:
        """What a request would be refused with now, before its body is read; None while there is room."""
        return self._no_room(1)

    async def do(self, work: Work, network: Network) -> Any:
        """The request's answer.

        Raises:
            ApiError: 503 QueueFull, 504 QueueTimeout, or what the request itself is refused with.
        """
        if work.heavy:
            job = await _in_thread(self._parsers, lambda: work.parse(network))
        else:
            job = work.parse(network)
        with self._places(len(job.parts)):
            if network.batch_size == 1 and len(job.parts) == 1:
                # Nearly every request: one trip to a thread for all of it.
                part = job.parts[0]
                return await self._in_worker(lambda: _answer(job, part.compute()))
            return _answer(job, await self._all(job.parts, network.batch_size))

    async def _all(self, parts: Sequence[Part], batch_size: int) -> Rows:
        """Every part's rows, in order; the first failure ends the rest."""
        in_line = asyncio.Semaphore(self._limit)

        async def one(part: Part) -> Rows:
            async with in_line:
                if batch_size == 1:
                    return await self._in_worker(part.compute)
                picture = await self._in_worker(part.prepare)
            return part.rows(await self._batcher.infer(part.infer, picture, batch_size))

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(part)) for part in parts]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [row for task in tasks for row in task.result()]

    async def _in_worker(self, call: Callable[[], T]) -> T:
        await self._wait_for_worker()
        try:
            return await self._watched(self._pool, call)
        finally:
            self._workers.release()

    async def _watched(self, pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        with self._progress.working():
            return await _in_thread(pool, call)

    def _no_room(self, pictures: int) -> ApiError | None:
        # A request larger than the queue is answered where it is the only one.
        if not self._admitted or self._admitted + pictures <= self._capacity:
            return None
        return overloaded(
            "QueueFull",
            f"{self._admitted} pictures are being answered or waiting, of {self._capacity} that may",
        )

    @contextmanager
    def _places(self, pictures: int) -> Iterator[None]:
        if refusal := self._no_room(pictures):
            raise refusal
        self._admitted += pictures
        try:
            with self._progress.waiting():
                yield
        finally:
            self._admitted -= pictures

    async def _wait_for_worker(self) -> None:
        metrics.QUEUED.inc()
        try:
            with metrics.stage("queue"):
                async with asyncio.timeout(self._timeout):
                    await self._workers.acquire()
        except TimeoutError:
            raise ApiError(
                HTTPStatus.GATEWAY_TIMEOUT,
                "QueueTimeout",
                f"no worker became free within {self._timeout:g} seconds; try again later",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from None
        finally:
            metrics.QUEUED.dec()

    def close(self) -> None:
        """Let idle threads end; running work is not waited for."""
        for pool in (self._pool, self._parsers, self._engine):
            pool.shutdown(wait=False, cancel_futures=True)


async def _in_thread(pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    """The call's result, in this task's context; a cancelled task waits for the thread, which goes on."""
    future = asyncio.get_running_loop().run_in_executor(pool, partial(copy_context().run, call))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def _answer(job: Job, rows: Rows) -> Any:
    with metrics.stage("encode"):
        return job.answer(rows)


def overloaded(reason: str, message: str) -> ApiError:
    """A counted 503."""
    metrics.REJECTED.inc()
    again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, reason, f"{message}; try again later", headers=again)


class BodyBudget:
    """Bounds the memory that the bodies of all requests hold together while they are read and answered."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, amount: int) -> None:
        """Count `amount` more bytes. Raises ApiError 503 when the total would pass the limit."""
        if self._held + amount > self._limit:
            raise overloaded(
                "BodiesFull",
                f"requests in progress take nearly {self._limit} bytes of bodies, all that they may",
            )
        self._count(amount)

    def give_back(self, amount: int) -> None:
        """Count `amount` bytes as freed."""
        self._count(-amount)

    def _count(self, amount: int) -> None:
        self._held += amount
        metrics.BODY_BYTES.set(self._held)
