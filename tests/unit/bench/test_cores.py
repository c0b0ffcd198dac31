"""One core and two, related turn by turn."""

from __future__ import annotations

import pytest

from bench.cores import Turns, at_once


class Steady:
    """A limit that is as fast as it is told while its neighbour works."""

    def __init__(self, beside: float) -> None:
        self._beside = beside

    def begin(self) -> None:
        return None

    def end(self) -> float:
        return self._beside


def test_two_loops_at_once_count_together() -> None:
    assert at_once(Steady(30), Steady(26)) == 56  # type: ignore[arg-type]


def test_a_turn_in_which_the_machine_is_slow_does_not_count_against_two_cores() -> None:
    turns = Turns([40, 20, 40], [72, 36, 72])
    assert turns.summary() == {"one": 40, "two": 72, "ratio": pytest.approx(1.8)}
