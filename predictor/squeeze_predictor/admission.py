"""Who may use a worker, and when: a bounded queue before a bounded pool of threads.

Decoding and inference block, so they run in the pool and the event loop stays free for health probes. A
request that finds the queue full is refused at once; one whose client has left is dropped before any work
is done for it. Lives on the event loop: not safe to call from other threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import perf_counter
from typing import TypeVar

from squeeze_predictor import metrics
from squeeze_predictor.errors import ApiError

T = TypeVar("T")

RETRY_AFTER_SECONDS = 1
# nginx's code for "client closed request"; only metrics ever see it.
CLIENT_CLOSED = 499


class Admission:
    """`workers` requests compute, `queue_size` more wait at most `queue_timeout` seconds."""

    def __init__(self, workers: int, queue_size: int, queue_timeout: float) -> None:
        self._capacity = workers + queue_size
        self._timeout = queue_timeout
        self._admitted = 0
        self._workers = asyncio.Semaphore(workers)
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="worker")

    def check(self) -> None:
        """Refuse now if the queue is full, before the body is read. Raises ApiError 503."""
        if self._admitted >= self._capacity:
            metrics.REJECTED.inc()
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "QueueFull",
                f"{self._capacity} requests are already being answered or waiting; try again later",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )

    async def run(self, work: Callable[[], T], client_left: Callable[[], Awaitable[bool]] | None = None) -> T:
        """The result of `work`, called in a worker thread.

        Raises:
            ApiError: 503 QueueFull, 504 QueueTimeout, or 499 ClientLeft (nobody reads that one).
        """
        async with self._slot():
            if client_left is not None and await client_left():
                metrics.ABANDONED.inc()
                raise ApiError(CLIENT_CLOSED, "ClientLeft", "the client closed the connection")
            # A thread cannot be stopped: if this task is cancelled, keep its slot until the work is done.
            future = asyncio.get_running_loop().run_in_executor(self._pool, work)
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                await asyncio.wait([future])
                raise

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        self.check()
        self._admitted += 1
        try:
            await self._wait_for_worker()
            try:
                yield
            finally:
                self._workers.release()
        finally:
            self._admitted -= 1

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
        self._pool.shutdown(wait=False, cancel_futures=True)


class BodyBudget:
    """Bounds the memory that request bodies hold together while they are read and answered."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, amount: int) -> None:
        """Count `amount` more bytes. Raises ApiError 503 when the total would pass the limit."""
        if self._held + amount > self._limit:
            metrics.REJECTED.inc()
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "BodiesFull",
                f"requests in progress already hold {self._limit} bytes of bodies; try again later",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        self._held += amount

    def give_back(self, amount: int) -> None:
        """Count `amount` bytes as freed."""
        self._held -= amount
