"""Conditions in a status, by the rules of kstatus.

Ready is the one to wait for. Reconciling and Stalled are abnormal when True, and never True together.
Source: sigs.k8s.io/cli-utils, pkg/kstatus.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

CLOCK_SKEW_SECONDS = 60.0
"""How far the clocks of a cluster's machines may differ."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Condition:
    """One condition, before it has a time."""

    type: str
    status: bool
    reason: StrEnum
    message: str

    def as_json(self, generation: int) -> Json:
        """The condition as the API wants it, without lastTransitionTime."""
        return {
            "type": self.type,
            "status": str(self.status),
            "reason": str(self.reason),
            "message": self.message,
            "observedGeneration": generation,
        }


def find(status: Mapping[str, Any] | None, kind: str) -> Mapping[str, Any]:
    """The condition of that type in a status, or an empty one."""
    for condition in (status or {}).get("conditions") or []:
        if condition.get("type") == kind:
            found: Mapping[str, Any] = condition
            return found
    return {}


def is_true(status: Mapping[str, Any] | None, kind: str) -> bool:
    """Whether a status has that condition with status True."""
    return find(status, kind).get("status") == "True"


def age(condition: Mapping[str, Any], now: float) -> float:
    """For how many seconds a condition has had its status at the Unix time `now`; infinite if unknown."""
    try:
        return now - datetime.fromisoformat(str(condition.get("lastTransitionTime"))).timestamp()
    except ValueError:
        return float("inf")


def waited(condition: Mapping[str, Any], now: float) -> float:
    """The age; infinite also where it is in the future: a clock set back must let nothing wait for ever."""
    seconds = age(condition, now)
    return seconds if seconds > -CLOCK_SKEW_SECONDS else float("inf")


def with_times(new: Sequence[Json], status: Mapping[str, Any] | None, now: str) -> list[Json]:
    """The new conditions with lastTransitionTime: the old one's while its status stays the same."""
    timed = []
    for condition in new:
        old = find(status, condition["type"])
        same = old.get("status") == condition["status"] and old.get("lastTransitionTime")
        timed.append(condition | {"lastTransitionTime": old["lastTransitionTime"] if same else now})
    return timed
