"""What the metrics say of all trainings, and of those that somebody should look at."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY
from squeeze_operator.training.census import STATES, Census

Json = dict[str, Any]


def training(name: str, condition: str = "", reason: str = "", failures: int = 0, workers: int = 2) -> Json:
    """A listed training with one condition that is True; without it one that is being trained."""
    told = {"type": condition, "status": "True", "reason": reason}
    ready = {"type": "Ready", "status": "False", "reason": reason or "Training"}
    conditions = [told] if condition == "Ready" else [ready, *([told] if condition else [])]
    return {
        "metadata": {"namespace": "team", "name": name},
        "spec": {"workers": workers},
        "status": {"conditions": conditions, "failures": failures},
    }


@pytest.fixture
def census() -> Iterator[Census]:
    """A census that leaves no series behind."""
    made = Census()
    yield made
    made.count([])


def sample(metric: str, **labels: str) -> float | None:
    """The value of a series, or None where there is none."""
    return REGISTRY.get_sample_value(f"squeeze_operator_{metric}", labels)


def stalled(name: str, reason: str) -> float | None:
    return sample("training_stalled", training_namespace="team", training=name, reason=reason)


def tries(name: str) -> float | None:
    return sample("training_failed_tries", training_namespace="team", training=name)


def test_a_stalled_training_is_named_with_its_reason_until_it_is_gone(census: Census) -> None:
    census.count([training("cats", "Stalled", "DataInvalid"), training("dogs")])
    assert stalled("cats", "DataInvalid") == 1
    assert stalled("dogs", "Training") is None
    census.count([training("cats", "Stalled", "NameTaken"), training("dogs")])
    assert (stalled("cats", "DataInvalid"), stalled("cats", "NameTaken")) == (None, 1)
    census.count([training("dogs")])
    assert stalled("cats", "NameTaken") is None


@pytest.mark.parametrize(
    ("failures", "workers", "number"), [(0, 2, None), (1, 2, 1), (2, 2, 1), (3, 2, 2), (3, 1, 3)]
)
def test_failed_tries_count_once_for_all_workers(
    census: Census, failures: int, workers: int, number: int | None
) -> None:
    census.count([training("cats", failures=failures, workers=workers)])
    assert tries("cats") == number


def test_a_training_that_has_ended_is_not_tried_again(census: Census) -> None:
    for over in (("Ready", "Trained"), ("Stalled", "WorkerFailed")):
        census.count([training("cats", failures=4)])
        assert tries("cats") == 2
        census.count([training("cats", *over, failures=4)])
        assert tries("cats") is None


def test_trainings_are_counted_by_state(census: Census) -> None:
    census.count(
        [training("a"), training("b"), training("c", "Ready", "Trained"), training("d", "", "Starting")]
    )
    numbers = {name: sample("trainings", state=name) for name in STATES}
    assert numbers == {"training": 2, "trained": 1, "pending": 1, "suspended": 0, "stalled": 0}
