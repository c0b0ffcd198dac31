"""Who may use a worker, and when: a bounded queue before a bounded pool of threads.

Decoding and inference block, so they run in the pool and the event loop stays free for health probes. The
bound counts pictures. A request that finds no room is refused at once; one whose client has left is dropped
before any work is done for it. Parts of requests take turns: a request holds at most as many places in the
line as there are workers, so one of many pictures cannot keep a single picture waiting behind all of them.
Lives on the event loop: not safe to call from other threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from time import perf_counter
from typing import Any, TypeVar

from squeeze_predictor import metrics
from squeeze_predictor.errors import ApiError
from squeeze_predictor.network import Network, Rows
from squeeze_predictor.work import Job, Work

T = TypeVar("T")

RETRY_AFTER_SECONDS = 1
# nginx's code for "client closed request"; only metrics ever see it.
CLIENT_CLOSED = 499


class Admission:
    """`workers` parts at a time; `queue_size` more pictures wait, each at most `queue_timeout` seconds."""

    def __init__(self, workers: int, queue_size: int, queue_timeout: float) -> None:
        self._limit = workers
        self._capacity = workers + queue_size
        self._timeout = queue_timeout
        self._admitted = 0
        self._workers = asyncio.Semaphore(workers)
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="worker")
        self._parsers = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="parser")

    def check(self) -> None:
        """Refuse now if the queue is full, before the body is read. Raises ApiError 503."""
        self._check_room(1)

    async def do(self, work: Work, network: Network) -> Any:
        """The request's answer.

        Raises:
            ApiError: 503 QueueFull, 504 QueueTimeout, 499 ClientLeft (nobody reads that one), or what the
                request itself is refused with.
        """
        if work.heavy:
            job = await _in_thread(self._parsers, lambda: work.parse(network))
        else:
            job = work.parse(network)
        with self._places(job.pictures):
            if len(job.parts) == 1:
                return await self._compute(lambda: job.answer(job.parts[0]()), work.client_left)
            return job.answer(await self._all(job, work.client_left))

    async def _all(self, job: Job, client_left: Callable[[], Awaitable[bool]]) -> Rows:
        """Every part's rows, in order; the first failure ends the rest."""
        in_line = asyncio.Semaphore(self._limit)

        async def one(part: Callable[[], Rows]) -> Rows:
            async with in_line:
                return await self._compute(part, client_left)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(part)) for part in job.parts]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [row for task in tasks for row in task.result()]

    async def _compute(self, call: Callable[[], T], client_left: Callable[[], Awaitable[bool]]) -> T:
        await self._wait_for_worker()
        try:
            if await client_left():
                metrics.ABANDONED.inc()
                raise ApiError(CLIENT_CLOSED, "ClientLeft", "the client closed the connection")
            return await _in_thread(self._pool, call)
        finally:
            self._workers.release()

    def _check_room(self, pictures: int) -> None:
        # A request larger than the queue is answered where it is the only one.
        if self._admitted and self._admitted + pictures > self._capacity:
            raise _full(
                "QueueFull",
                f"{self._admitted} pictures are being answered or waiting, of {self._capacity} that may",
            )

    @contextmanager
    def _places(self, pictures: int) -> Iterator[None]:
        self._check_room(pictures)
        self._admitted += pictures
        try:
            yield
        finally:
            self._admitted -= pictures

    async def _wait_for_worker(self) -> None:
        began = perf_counter()
        metrics.QUEUED.inc()
        try:
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
            metrics.STAGE_SECONDS.labels(stage="queue").observe(perf_counter() - began)

    def close(self) -> None:
        """Let idle threads end; running work is not waited for."""
        for pool in (self._pool, self._parsers):
            pool.shutdown(wait=False, cancel_futures=True)


async def _in_thread(pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    """The call's result; a cancelled task waits for the thread, which cannot be stopped."""
    future = asyncio.get_running_loop().run_in_executor(pool, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def _full(reason: str, message: str) -> ApiError:
    """A counted 503."""
    metrics.REJECTED.inc()
    again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, reason, f"{message}; try again later", headers=again)


class BodyBudget:
    """Bounds the memory that request bodies hold together while they are read and answered."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, amount: int) -> None:
        """Count `amount` more bytes. Raises ApiError 503 when the total would pass the limit."""
        if self._held + amount > self._limit:
            raise _full(
                "BodiesFull",
                f"requests in progress hold nearly {self._limit} bytes of bodies, all that they may",
            )
        self._held += amount

    def give_back(self, amount: int) -> None:
        """Count `amount` bytes as freed."""
        self._held -= amount
