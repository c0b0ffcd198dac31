"""Shapes of load: how many requests a second are due, as straight lines between points in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
from numpy.typing import NDArray

STEP_SECONDS = 0.01


@dataclass(frozen=True)
class Shape:
    """Points (second, requests a second), in order; two at one second are a jump."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.points[-1][0]

    @property
    def rises_at(self) -> float:
        """The second from which more than at first is asked for."""
        return next(when for (when, rate), (_, later) in pairwise(self.points) if later > rate)

    @property
    def falls_at(self) -> float:
        """The second from which no more than at first is asked for."""
        return max(when for (_, rate), (when, later) in pairwise(self.points) if later < rate)

    def rate(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Requests a second at these seconds, float64 of the same shape."""
        when, rates = np.array(self.points, np.float64).T
        return np.asarray(np.interp(seconds, when, rates), np.float64)

    def due(self) -> NDArray[np.float64]:
        """The second at which each request is due, float64 [requests]."""
        middles = np.arange(STEP_SECONDS / 2, self.seconds, STEP_SECONDS)
        sums = np.concatenate([[0.0], np.cumsum(self.rate(middles) * STEP_SECONDS)])
        numbers = np.arange(int(sums[-1] + 1e-6)) + 0.5
        return np.asarray(np.interp(numbers, sums, np.arange(len(sums)) * STEP_SECONDS), np.float64)


def shapes(low: float, high: float, seconds: float) -> dict[str, Shape]:
    """A step, a ramp, a spike and a sawtooth between two rates; each keeps quiet for its last 40 %."""
    first, last = 0.1 * seconds, 0.6 * seconds
    third = (last - first) / 3
    teeth = [
        point
        for number in range(3)
        for point in ((first + number * third, low), (first + (number + 1) * third, high))
    ]
    return {
        "step": Shape(
            "step", ((0, low), (first, low), (first, high), (last, high), (last, low), (seconds, low))
        ),
        "ramp": Shape("ramp", ((0, low), (first, low), (last, high), (last, low), (seconds, low))),
        "spike": Shape(
            "spike",
            ((0, low), (first, low), (first, high), (3 * first, high), (3 * first, low), (seconds, low)),
        ),
        "sawtooth": Shape("sawtooth", ((0, low), *teeth, (last, low), (seconds, low))),
    }


def steady(per_second: float) -> Iterator[float]:
    """The seconds of requests that are due for ever, evenly."""
    return (number / per_second for number in count())
