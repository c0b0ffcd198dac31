"""Dynamic batching for engines that compute several pictures faster together, such as a GPU.

There is no timer. Whenever the engine is free it takes all that wait, up to the batch size, so a lone
picture never waits for company, and batches grow by themselves as the load does.
Lives on the event loop: not safe to call from other threads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass

import numpy as np

from squeeze_predictor.errors import ApiError
from squeeze_predictor.parts import Inputs, Logits

Infer = Callable[[Inputs], Logits]
InThread = Callable[[Callable[[], Logits]], Awaitable[Logits]]


@dataclass(frozen=True)
class _Waiting:
    infer: Infer
    picture: Inputs
    result: asyncio.Future[Logits]
    context: Context


class Batcher:
    """``in_thread`` runs a blocking call; one batch is computed at a time."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._waiting: deque[_Waiting] = deque()
        self._engine: asyncio.Task[None] | None = None

    async def infer(self, infer: Infer, picture: Inputs, size: int) -> Logits:
        """The logits of one picture [1, ...], computed with at most ``size - 1`` others.

        Raises what ``infer`` raises.
        """
        result: asyncio.Future[Logits] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(infer, picture, result, copy_context()))
        if self._engine is None:
            self._engine = asyncio.create_task(self._run(size))
        return await result

    async def _run(self, size: int) -> None:
        try:
            while batch := self._take(size):
                await self._compute(batch)
        finally:
            self._engine = None

    def _take(self, size: int) -> list[_Waiting]:
        """Those in front that can be computed together; who no longer waits is left out."""
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < size:
            if batch and self._waiting[0].infer != batch[0].infer:
                break
            first = self._waiting.popleft()
            if not first.result.done():
                batch.append(first)
        return batch

    async def _compute(self, batch: list[_Waiting]) -> None:
        infer, pictures = batch[0].infer, [each.picture for each in batch]
        try:
            # A trace shows the batch below the request that waited longest for it.
            context = batch[0].context
            logits = await self._in_thread(lambda: context.run(infer, np.concatenate(pictures)))
        except Exception as error:
            if _out_of_memory(error) and len(batch) > 1:
                half = len(batch) // 2
                await self._compute(batch[:half])
                await self._compute(batch[half:])
                return
            for each in batch:
                if not each.result.done():
                    each.result.set_exception(error)
            return
        for index, each in enumerate(batch):
            if not each.result.done():
                each.result.set_result(logits[index : index + 1])


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, ApiError) and error.reason == "OutOfMemory"
