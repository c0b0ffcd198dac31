"""Remembers how many replicas autoscalers wanted, to notice one that goes up and down again and again.

In memory alone: an operator that starts anew has seen nothing yet, which delays a warning and harms nobody.
"""

import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

WINDOW_SECONDS = 1800.0


class ScaleHistory:
    """The wishes of each model's autoscaler within the last half hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wishes: dict[str, list[tuple[float, int]]] = {}

    def note(self, model: str, autoscaler: Mapping[str, Any]) -> tuple[int, ...]:
        """Notes what the autoscaler of a model (by uid) wants; returns all that it wanted, oldest first."""
        now = self._clock()
        wish = int((autoscaler.get("status") or {}).get("desiredReplicas") or 0)
        kept = [seen for seen in self._wishes.get(model, []) if now - seen[0] < WINDOW_SECONDS]
        if wish and (not kept or kept[-1][1] != wish):
            kept.append((now, wish))
        self._wishes[model] = kept
        return tuple(number for _, number in kept)

    def forget_except(self, models: frozenset[str]) -> None:
        """Drops what is known of models (by uid) that are gone."""
        self._wishes = {model: wishes for model, wishes in self._wishes.items() if model in models}


def reversals(wishes: tuple[int, ...]) -> int:
    """How often a series of different neighbours turned from up to down or from down to up."""
    ups = [later > earlier for earlier, later in pairwise(wishes)]
    return sum(before != after for before, after in pairwise(ups))
