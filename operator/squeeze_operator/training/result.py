"""Reads what a training has come to: the leading worker's termination message, or its progress page."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from squeeze_operator.training.faults import index, message_of

Json = Mapping[str, Any]
_PROGRESS: Mapping[str, str] = {
    "attempt": "attempt",
    "iteration": "iteration",
    "iterations": "iterations",
    "loss": "loss",
    "best_top1": "bestTop1",
    "best_iteration": "bestIteration",
    "seconds_left": "secondsLeft",
}
_WHOLE = frozenset({"attempt", "iteration", "iterations", "best_iteration", "seconds_left"})


def result(pods: Iterable[Json]) -> dict[str, Any] | None:
    """status.artifact of a finished training, from its leading pod; None where no pod tells it."""
    for pod in pods:
        if index(pod) == "0" and (pod.get("status") or {}).get("phase") == "Succeeded":
            found = _artifact(message_of(pod))
            if found is not None:
                return found
    return None


def progress(told: Json) -> dict[str, Any]:
    """status.progress of what the leading worker's page says; values that are no numbers are left out."""
    found: dict[str, Any] = {}
    for key, field in _PROGRESS.items():
        value = told.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[field] = int(value) if key in _WHOLE else round(float(value), 6)
    return found


def final(shown: Json, artifact: Json) -> dict[str, Any]:
    """status.progress of a training that has made this artifact: its page was last seen before the end."""
    found = {field: value for field, value in shown.items() if field != "secondsLeft"}
    if "iterations" in artifact:
        found |= {"iteration": artifact["iterations"]}
    if "top1" in artifact.get("validation", {}):
        found |= {"bestTop1": artifact["validation"]["top1"]}
    return found


def summary(shown: Json) -> str:
    """One column for `kubectl get`: where a training is."""
    if not shown.get("iterations"):
        return ""
    share = 100 * shown.get("iteration", 0) // shown["iterations"]
    return f"{shown.get('iteration', 0)}/{shown['iterations']} ({share} %)"


def _artifact(message: str) -> dict[str, Any] | None:
    try:
        told = json.loads(message)
        uri, digest = str(told["artifact"]), str(told["digest"])
    except (ValueError, KeyError, TypeError):
        return None
    if not re.fullmatch("sha256:[0-9a-f]{64}", digest):
        return None
    found: dict[str, Any] = {"uri": uri, "digest": digest}
    if isinstance(told.get("iterations"), int):
        found["iterations"] = told["iterations"]
    measures = {split: _measures(told.get(split)) for split in ("validation", "test")}
    return found | {split: values for split, values in measures.items() if values}


def _measures(told: object) -> dict[str, float]:
    if not isinstance(told, Mapping):
        return {}
    return {
        name: round(float(told[name]), 4)
        for name in ("top1", "top5", "loss")
        if isinstance(told.get(name), int | float)
    }
