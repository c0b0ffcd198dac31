"""The state of each model as metrics, so that an alert can name the model and the reason.

A model that is well has no series of its own, so a thousand of them cost nothing.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from squeeze_operator import metrics
from squeeze_operator.names import Key
from squeeze_operator.reasons import Reason

Json = Mapping[str, Any]
SOUND = {
    "Ready": "True",
    "Reconciling": "False",
    "Stalled": "False",
    "Serving": "True",
    "UpToDate": "True",
    "Scaling": "True",
}
"""The status of each condition where all is well."""
_WELL = frozenset({Reason.AVAILABLE, Reason.ASLEEP, Reason.WAKING})
"""Reasons of a Ready that is True."""

for _kind in SOUND:
    for _status in ("True", "False"):
        metrics.MODELS_BY_CONDITION.labels(_kind, _status)


class _State(NamedTuple):
    conditions: frozenset[tuple[str, str]]
    """Type and status of each condition."""
    troubles: frozenset[tuple[str, str, str]]
    """Type, status and reason of each condition that is not as it should be."""
    objective_seconds: float | None


class ModelStates:
    """What the metrics say of each model. Use from one thread only."""

    def __init__(self) -> None:
        self._told: dict[Key, _State] = {}

    def tell(self, key: Key, status: Json) -> None:
        """Brings the metrics of a model in line with its status, as `decide` gives it."""
        self._replace(key, _state(status))

    def forget(self, key: Key) -> None:
        """Takes a model that is gone out of the metrics."""
        self._replace(key, None)

    def _replace(self, key: Key, new: _State | None) -> None:
        old = self._told.pop(key, None)
        if new is not None:
            self._told[key] = new
        if new == old:
            return
        _count(old, -1)
        _count(new, 1)
        before, now = (state.troubles if state else frozenset() for state in (old, new))
        for trouble in before - now:
            metrics.MODEL_TROUBLE.remove(key.namespace, key.name, *trouble)
        for trouble in now - before:
            metrics.MODEL_TROUBLE.labels(key.namespace, key.name, *trouble).set(1)
        if new is not None and new.objective_seconds is not None:
            metrics.MODEL_OBJECTIVE.labels(key.namespace, key.name).set(new.objective_seconds)
        elif old is not None and old.objective_seconds is not None:
            metrics.MODEL_OBJECTIVE.remove(key.namespace, key.name)


def _count(state: _State | None, amount: int) -> None:
    for condition in state.conditions if state else ():
        metrics.MODELS_BY_CONDITION.labels(*condition).inc(amount)


def _state(status: Json) -> _State:
    conditions = [(c["type"], c["status"], c["reason"]) for c in status["conditions"]]
    effective = status.get("effective") or {}
    return _State(
        frozenset((kind, state) for kind, state, _ in conditions),
        frozenset(condition for condition in conditions if _troubled(*condition)),
        effective["target"] / 1000 if effective.get("metric") == "latency" else None,
    )


def _troubled(kind: str, status: str, reason: str) -> bool:
    # A model is Ready on the CPU that it did not ask for, or with a replica that fails; somebody should look.
    return status != SOUND[kind] or (kind == "Ready" and reason not in _WELL)
