"""All trainings at a time: their list for the audit, and their number by state for the metrics."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import Gauge

from squeeze_operator import metrics, names
from squeeze_operator.api import Api, Json, KindMissing
from squeeze_operator.conditions import find, is_true
from squeeze_operator.training.reasons import TrainingReason

Labels = tuple[str, ...]
STATES = ("pending", "training", "suspended", "trained", "stalled")


async def list_trainings(api: Api, scopes: Iterable[str | None]) -> list[Json]:
    """The trainings of these namespaces; none where their CRD is not installed. Raises ApiError."""
    try:
        return [training for scope in scopes for training in await api.list(names.TRAININGS, scope)]
    except KindMissing:
        return []


class Census:
    """What the metrics say of trainings. A training with which all is well has no series of its own."""

    def __init__(self) -> None:
        self._told: dict[tuple[Gauge, Labels], int] = {}

    def count(self, trainings: Iterable[Mapping[str, Any]]) -> None:
        """Brings the metrics in line with all trainings that there are."""
        listed = list(trainings)
        numbers = Counter(state(training.get("status")) for training in listed)
        for name in STATES:
            metrics.TRAININGS.labels(name).set(numbers[name])
        troubles = {found: value for training in listed for found, value in _troubles(training)}
        for gauge, labels in self._told.keys() - troubles.keys():
            gauge.remove(*labels)
        for (gauge, labels), value in troubles.items():
            gauge.labels(*labels).set(value)
        self._told = troubles


def _troubles(training: Mapping[str, Any]) -> Iterator[tuple[tuple[Gauge, Labels], int]]:
    """The series of one training that somebody should look at, with their values."""
    metadata, status = training["metadata"], training.get("status") or {}
    who, now = (str(metadata["namespace"]), str(metadata["name"])), state(status)
    if now == "stalled":
        yield (metrics.TRAINING_STALLED, (*who, str(find(status, "Stalled").get("reason")))), 1
    failures = int(status.get("failures") or 0)
    if failures and now in ("pending", "training"):
        # One lost worker ends all of them.
        workers = int((training.get("spec") or {}).get("workers") or 1)
        yield (metrics.TRAINING_FAILED_TRIES, who), math.ceil(failures / workers)


def state(status: Mapping[str, Any] | None) -> str:
    """One of STATES."""
    if is_true(status, "Ready"):
        return "trained"
    if is_true(status, "Stalled"):
        return "stalled"
    reason = find(status, "Ready").get("reason")
    named = {TrainingReason.TRAINING: "training", TrainingReason.SUSPENDED: "suspended"}
    return named.get(reason, "pending") if reason else "pending"
