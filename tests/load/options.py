"""What one run was asked for, from the environment, and where it works."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from e2e.models import Namespace, temporary
from load.display import Display
from squeeze_cluster.settings import Settings

SHAPES = ("step", "ramp", "spike", "sawtooth")


def _number(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise ValueError(f"{name}={text!r} is no number above 0")
    return value


def _names(name: str) -> tuple[str, ...]:
    return tuple(filter(None, os.environ.get(name, "").split(",")))


@dataclass(frozen=True)
class Options:
    """Scenarios by name, the highest rate in requests a second, seconds of a shape, and how many rollouts."""

    wanted: tuple[str, ...] = field(default_factory=lambda: _names("LOAD") or SHAPES)
    rate: float = field(default_factory=lambda: _number("RATE", 100))
    seconds: float = field(default_factory=lambda: _number("DURATION", 120))
    rollouts: int = field(default_factory=lambda: int(_number("ROLLOUTS", 20)))
    settings: Settings = field(default_factory=Settings)
    display: Display = field(default_factory=Display)

    def namespace(self) -> AbstractContextManager[Namespace]:
        """A new namespace, deleted afterwards."""
        return temporary(self.settings, "load")
