"""All trainings at a time: their list for the audit, and their number by state for the metrics."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from squeeze_operator import metrics, names
from squeeze_operator.api import Api, Json, KindMissing
from squeeze_operator.conditions import find, is_true
from squeeze_operator.training.reasons import TrainingReason

STATES = ("pending", "training", "suspended", "trained", "stalled")


async def list_trainings(api: Api, scopes: Iterable[str | None]) -> list[Json]:
    """The trainings of these namespaces; none where their CRD is not installed. Raises ApiError."""
    try:
        return [training for scope in scopes for training in await api.list(names.TRAININGS, scope)]
    except KindMissing:
        return []


def count(trainings: Iterable[Mapping[str, Any]]) -> None:
    """Sets the metric."""
    numbers = Counter(state(training.get("status")) for training in trainings)
    for name in STATES:
        metrics.TRAININGS.labels(name).set(numbers[name])


def state(status: Mapping[str, Any] | None) -> str:
    """One of STATES."""
    if is_true(status, "Ready"):
        return "trained"
    if is_true(status, "Stalled"):
        return "stalled"
    reason = find(status, "Ready").get("reason")
    named = {TrainingReason.TRAINING: "training", TrainingReason.SUSPENDED: "suspended"}
    return named.get(reason, "pending") if reason else "pending"
