"""What this server can carry, measured before it is ready: pictures a second, and the time of one alone.

A picture here is a JPEG of 600x400, decoded, classified, and nothing of HTTP. Under a CPU quota a short
measurement would mostly see the time before the kernel stops the threads; so a rate is never above what the
quota allows by the CPU time that each picture took.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image
from squeezenet import golden

from squeeze_predictor.parts import Inputs

SECONDS = 1.5
"""For all sizes together, where there are several."""
SECONDS_OF_ONE = 0.1
"""Longer gives figures that are no closer to each other: the machine changes more than they do."""
SECONDS_OF_ONE_CUT_SHORT = 0.3
"""Three periods of the kernel's CPU quota, where that stops the threads within each."""
# A larger batch has to be worth the time that its first picture waits for the last.
WORTH = 1.05


@dataclass(frozen=True)
class Rate:
    """``seconds`` is the time of one batch where nothing else runs."""

    batch: int
    pictures_per_second: float
    seconds: float


@dataclass(frozen=True)
class Steps:
    """What is measured: one picture decoded, and a batch inferred. Threads call both."""

    decode: Callable[[], Inputs]
    infer: Callable[[Inputs], object]


def typical_picture(crop: int) -> bytes:
    """A JPEG of 600x400 pixels with detail at several scales."""
    buffer = io.BytesIO()
    picture = Image.fromarray(golden.picture(crop))
    picture.resize((600, 400), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def measure(steps: Steps, sizes: Sequence[int], workers: int, cpus: float) -> tuple[Rate, ...]:
    """A rate for each size of a batch. ``workers`` threads decode; ``cpus`` is the quota, in CPUs."""
    alone = SECONDS_OF_ONE_CUT_SHORT if cpus < workers else SECONDS_OF_ONE
    seconds = alone if len(sizes) == 1 else SECONDS / len(sizes)
    return tuple(
        _one_by_one(steps, workers, cpus, seconds)
        if size == 1
        else _batches(steps, size, workers, cpus, seconds)
        for size in sizes
    )


def best(rates: Sequence[Rate]) -> int:
    """The smallest size of a batch that is about as fast as the fastest."""
    fastest = max(rate.pictures_per_second for rate in rates)
    return min(rate.batch for rate in rates if rate.pictures_per_second * WORTH >= fastest)


@dataclass(frozen=True)
class _Timed:
    """``each``: seconds of a call as its thread sees it; ``cpu``: its CPU seconds."""

    per_second: float
    each: float
    cpu: float


def _one_by_one(steps: Steps, workers: int, cpus: float, seconds: float) -> Rate:
    def classify() -> None:
        steps.infer(steps.decode())

    alone = _timed(classify, 1, seconds)
    together = alone if workers == 1 else _timed(classify, workers, seconds)
    return Rate(1, min(together.per_second, cpus / together.cpu), alone.each)


def _batches(steps: Steps, size: int, workers: int, cpus: float, seconds: float) -> Rate:
    batch = np.concatenate([steps.decode()] * size)
    decode = _timed(steps.decode, workers, seconds / 4)
    infer = _timed(lambda: steps.infer(batch), 1, seconds * 3 / 4)
    rate = min(decode.per_second, infer.per_second * size, cpus / (decode.cpu + infer.cpu / size))
    return Rate(size, rate, infer.each)


def _timed(call: Callable[[], object], workers: int, seconds: float) -> _Timed:
    began, cpu = time.perf_counter(), time.process_time()

    def repeat(_: int) -> int:
        count = 0
        while time.perf_counter() - began < seconds or not count:
            call()
            count += 1
        return count

    with ThreadPoolExecutor(workers) as pool:
        count = sum(pool.map(repeat, range(workers)))
    elapsed = time.perf_counter() - began
    # A clock that has not moved must not divide by zero.
    spent = max(time.process_time() - cpu, 1e-9)
    return _Timed(count / elapsed, elapsed * workers / count, spent / count)
