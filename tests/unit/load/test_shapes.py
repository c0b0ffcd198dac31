"""Shapes of load: what is due, and when."""

import numpy as np
import pytest
from load.shapes import Shape, shapes, steady


def test_an_even_rate_is_due_evenly() -> None:
    due = Shape("even", ((0, 10), (5, 10))).due()
    assert len(due) == 50
    assert np.diff(due) == pytest.approx(np.full(49, 0.1), abs=1e-6)


def test_a_ramp_is_due_by_the_area_under_it() -> None:
    due = Shape("ramp", ((0, 0), (10, 20))).due()
    assert len(due) == 100
    assert (due < 5).sum() == 25


def test_a_jump_changes_the_rate_at_once() -> None:
    due = Shape("step", ((0, 2), (4, 2), (4, 50), (6, 50))).due()
    assert (due < 4).sum() == 8
    assert (due >= 4).sum() == 100


@pytest.mark.parametrize("name", ["step", "ramp", "spike", "sawtooth"])
def test_every_shape_goes_from_low_to_high_and_back(name: str) -> None:
    shape = shapes(5, 100, 120)[name]
    rates = shape.rate(np.linspace(0, 120, 2401))
    assert (rates[0], rates.max(), rates[-1]) == pytest.approx((5, 100, 5), rel=0.01)
    assert shape.seconds == 120
    assert shape.rises_at == pytest.approx(12)
    assert shape.rises_at < shape.falls_at <= 72
    assert shape.rate(np.array([shape.falls_at + 0.1])) == [5]
    assert (np.diff(shape.due()) >= 0).all()


def test_a_sawtooth_has_three_teeth() -> None:
    rates = shapes(5, 100, 120)["sawtooth"].rate(np.linspace(0, 120, 2401))
    assert (np.diff(rates) < -20).sum() == 3


def test_steady_load_never_ends() -> None:
    offsets = steady(4)
    assert [next(offsets) for _ in range(5)] == [0, 0.25, 0.5, 0.75, 1]
