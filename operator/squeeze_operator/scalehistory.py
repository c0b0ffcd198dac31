"""Remembers how many replicas autoscalers wanted, to notice one that goes up and down again and again.

In memory alone: an operator that starts anew has seen nothing yet, which delays a warning and harms nobody.
"""

import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

WINDOW_SECONDS = 1800.0


class ScaleHistory:
    """The wishes of each autoscaler within the last half hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wishes: dict[str, list[tuple[float, int]]] = {}

    def note(self, autoscaler: Mapping[str, Any]) -> tuple[int, ...]:
        """Notes what a live HorizontalPodAutoscaler wants; returns all that it wanted, oldest first."""
        owner, now = _owner(autoscaler), self._clock()
        wish = int((autoscaler.get("status") or {}).get("desiredReplicas") or 0)
        kept = [seen for seen in self._wishes.get(owner, []) if now - seen[0] < WINDOW_SECONDS]
        if wish and (not kept or kept[-1][1] != wish):
            kept.append((now, wish))
        self._wishes[owner] = kept
        return tuple(number for _, number in kept)

    def forget_except(self, owners: frozenset[str]) -> None:
        """Drops what is known of models (by uid) that are gone."""
        self._wishes = {owner: wishes for owner, wishes in self._wishes.items() if owner in owners}


def reversals(wishes: tuple[int, ...]) -> int:
    """How often a series of different neighbours turned from up to down or from down to up."""
    ups = [later > earlier for earlier, later in pairwise(wishes)]
    return sum(before != after for before, after in pairwise(ups))


def _owner(autoscaler: Mapping[str, Any]) -> str:
    owners = autoscaler["metadata"].get("ownerReferences") or []
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")
