"""``progress.json`` in a run's folder: where the run stands, for a program that watches it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from squeeze_trainer.state import State

NAME = "progress.json"
_SECONDS = 2.0


class ProgressFile:
    """Writes the file at most every two seconds, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = float("-inf")

    def step(self, state: State, budget: int, loss: float, seconds_left: float | None) -> None:
        """A step was made."""
        if time.monotonic() - self._written < _SECONDS:
            return
        self._written = time.monotonic()
        best = state.best
        content = {
            "attempt": state.attempt + 1,
            "iteration": state.iteration,
            "iterations": budget,
            "loss": round(loss, 6),
            "best_top1": best.top1 if best else None,
            "best_iteration": best.iteration if best else None,
            "seconds_left": None if seconds_left is None else round(seconds_left, 1),
        }
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_text(json.dumps(content))
        partial.replace(self._path)
