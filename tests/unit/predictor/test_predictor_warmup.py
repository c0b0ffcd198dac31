"""The measured capacity: bounded by the quota, and the batch size that is worth it."""

from __future__ import annotations

import time

import numpy as np
import pytest
from squeeze_predictor import warmup
from squeeze_predictor.parts import Inputs
from squeeze_predictor.warmup import Rate, Steps
from squeezenet.pictures import decode


def spin(seconds: float) -> None:
    """Uses CPU, as opposed to sleep."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def picture() -> Inputs:
    spin(0.002)
    return np.zeros((1, 2, 2, 3), np.uint8)


def slow_alone(_: Inputs) -> None:
    """A device that takes as long for one picture as for many."""
    time.sleep(0.02)


def test_a_quota_bounds_the_rate_however_fast_the_measurement_went() -> None:
    steps = Steps(picture, lambda _: spin(0.01))
    (whole,) = warmup.measure(steps, (1,), workers=1, cpus=1.0)
    (tenth,) = warmup.measure(steps, (1,), workers=1, cpus=0.1)
    # 12 ms of CPU time a picture at least: a tenth of a CPU carries no more than 8.4 a second.
    assert tenth.pictures_per_second <= 0.1 / 0.012
    assert whole.pictures_per_second <= 1 / 0.012
    assert whole.seconds >= 0.012


@pytest.mark.parametrize(
    ("cpus", "seconds"), [(1.0, warmup.SECONDS_OF_ONE), (0.9, warmup.SECONDS_OF_ONE_CUT_SHORT)]
)
def test_threads_that_the_quota_stops_are_watched_for_some_of_its_periods(
    cpus: float, seconds: float
) -> None:
    calls = []
    (rate,) = warmup.measure(Steps(picture, lambda _: calls.append(time.monotonic())), (1,), 1, cpus)
    assert calls[-1] - calls[0] >= seconds - 10 * rate.seconds


def test_a_device_that_likes_batches_gets_large_ones() -> None:
    rates = warmup.measure(Steps(picture, slow_alone), (1, 4, 8), workers=2, cpus=64)
    assert [rate.batch for rate in rates] == [1, 4, 8]
    # Two pictures at a time is the most that one by one can do here; a device of one would do half.
    assert rates[0].pictures_per_second <= 2 / 0.02
    assert rates[2].seconds >= 0.02
    assert rates[2].pictures_per_second <= 8 / 0.02


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ([(1, 40.0)], 1),
        ([(1, 40.0), (4, 41.0)], 1),
        ([(1, 40.0), (4, 90.0), (16, 92.0), (64, 91.0)], 4),
        ([(1, 40.0), (4, 90.0), (16, 300.0)], 16),
    ],
)
def test_the_smallest_batch_that_is_about_as_fast_as_any(rates: list[tuple[int, float]], best: int) -> None:
    assert warmup.best([Rate(batch, rate, 1.0) for batch, rate in rates]) == best


def test_the_typical_picture_is_a_whole_jpeg() -> None:
    assert decode(warmup.typical_picture(32)).size == (600, 400)
