"""Dynamic batching: alone at once, together under load, and failing alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from squeeze_predictor.batcher import Batcher
from squeeze_predictor.errors import ApiError
from squeeze_predictor.parts import Inputs, Logits


class Engine:
    """Gives each picture's first number back; waits for the gate; remembers the sizes of batches."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.sizes: list[int] = []
        self.most = 1000

    def infer(self, pictures: Inputs) -> Logits:
        assert self.gate.wait(20)
        self.sizes.append(len(pictures))
        if len(pictures) > self.most:
            raise ApiError(503, "OutOfMemory", "too many")
        if (pictures < 0).any():
            raise ApiError(500, "InferenceFailed", "negative")
        return pictures[:, :1].astype(np.float32)


def picture(number: int) -> Inputs:
    return np.full((1, 4), number, np.int64)


async def in_thread(call: Callable[[], Logits]) -> Logits:
    return await asyncio.to_thread(call)


def ask(batcher: Batcher, engine: Engine, number: int, size: int = 4) -> asyncio.Task[Logits]:
    return asyncio.create_task(batcher.infer(engine.infer, picture(number), size))


async def numbers(tasks: list[asyncio.Task[Logits]]) -> list[float]:
    return [float(result[0, 0]) for result in await asyncio.gather(*tasks)]


async def until_taken(engine: Engine) -> None:
    """Let the batcher hand the first picture to the engine, which waits at the gate."""
    for _ in range(5):
        await asyncio.sleep(0.01)
    assert not engine.sizes


async def test_a_lone_picture_waits_for_no_company() -> None:
    engine = Engine()
    batcher = Batcher(in_thread)
    for number in range(3):
        assert await numbers([ask(batcher, engine, number)]) == [number]
    assert engine.sizes == [1, 1, 1]


async def test_what_waits_while_the_engine_is_busy_is_computed_together_up_to_the_size() -> None:
    engine = Engine()
    batcher = Batcher(in_thread)
    engine.gate.clear()
    first = ask(batcher, engine, 0)
    await until_taken(engine)
    others = [ask(batcher, engine, number) for number in range(1, 8)]
    await until_taken(engine)
    engine.gate.set()
    assert await numbers([first, *others]) == list(range(8))
    assert engine.sizes == [1, 4, 3]


async def test_different_kinds_of_input_never_share_a_batch() -> None:
    engine, other = Engine(), Engine()
    batcher = Batcher(in_thread)
    engine.gate.clear()
    tasks = [ask(batcher, engine, 0)]
    await until_taken(engine)
    tasks += [ask(batcher, which, index) for index, which in enumerate((engine, other, other, engine), 1)]
    await until_taken(engine)
    engine.gate.set()
    assert await numbers(tasks) == [0, 1, 2, 3, 4]
    assert (engine.sizes, other.sizes) == ([1, 1, 1], [2])


async def test_who_has_given_up_is_not_computed() -> None:
    engine = Engine()
    batcher = Batcher(in_thread)
    engine.gate.clear()
    first = ask(batcher, engine, 0)
    await until_taken(engine)
    leaves, stays = ask(batcher, engine, 1), ask(batcher, engine, 2)
    await until_taken(engine)
    leaves.cancel()
    await until_taken(engine)
    engine.gate.set()
    assert await numbers([first, stays]) == [0, 2]
    assert engine.sizes == [1, 1]


async def test_a_batch_beyond_the_memory_is_halved_until_it_fits() -> None:
    engine = Engine()
    engine.most = 2
    batcher = Batcher(in_thread)
    engine.gate.clear()
    tasks = [ask(batcher, engine, 0, size=8)]
    await until_taken(engine)
    tasks += [ask(batcher, engine, number, size=8) for number in range(1, 8)]
    await until_taken(engine)
    engine.gate.set()
    assert await numbers(tasks) == list(range(8))
    assert engine.sizes == [1, 7, 3, 1, 2, 4, 2, 2]


async def test_one_picture_beyond_the_memory_is_refused_and_the_next_is_answered() -> None:
    engine = Engine()
    engine.most = 0
    batcher = Batcher(in_thread)
    with pytest.raises(ApiError, match="too many"):
        await ask(batcher, engine, 1)
    engine.most = 1
    assert await numbers([ask(batcher, engine, 2)]) == [2]


async def test_a_failure_reaches_every_picture_of_the_batch_and_no_other() -> None:
    engine = Engine()
    batcher = Batcher(in_thread)
    engine.gate.clear()
    first = ask(batcher, engine, 0, size=2)
    await until_taken(engine)
    bad = [ask(batcher, engine, number, size=2) for number in (1, -1)]
    good = ask(batcher, engine, 3, size=2)
    await until_taken(engine)
    engine.gate.set()
    results = await asyncio.gather(*bad, return_exceptions=True)
    assert [type(result) for result in results] == [ApiError, ApiError]
    assert await numbers([first, good]) == [0, 3]


async def test_an_awaited_call_runs_once_at_a_time() -> None:
    running = 0

    async def counted(call: Callable[[], Logits]) -> Logits:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.001)
        result: Awaitable[Logits] = asyncio.to_thread(call)
        try:
            return await result
        finally:
            running -= 1

    engine = Engine()
    batcher = Batcher(counted)
    tasks = [ask(batcher, engine, number, size=3) for number in range(20)]
    assert await numbers(tasks) == list(range(20))
    assert max(engine.sizes) == 3
