"""Where a run stands: everything about it that is not a tensor. Goes into checkpoints as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Point:
    """Means over the iterations since the point before."""

    iteration: int
    loss: float
    rate: float


@dataclass(frozen=True)
class Validation:
    """One validation; shares are 0..1."""

    iteration: int
    top1: float
    top5: float
    loss: float

    @property
    def score(self) -> tuple[float, float]:
        """The greater the better: right answers first, and between equals the smaller loss."""
        return (self.top1, -self.loss)


@dataclass
class State:
    """A run's place and memory. ``iteration`` counts finished steps of this attempt.

    ``validated``: the iteration of the last validation. ``dead``, ``seen`` and ``total`` belong to the watch,
    ``point_steps`` and ``point_loss`` to the curve's next point.
    ``damaged``: name and cause of training pictures that could not be read; ``epoch_damage`` counts this
    epoch's.
    """

    attempt: int = 0
    rate_scale: float = 1.0
    iteration: int = 0
    validated: int = 0
    without_improvement: int = 0
    dead: int = 0
    seen: int = 0
    total: float = 0.0
    epoch_damage: int = 0
    point_steps: int = 0
    point_loss: float = 0.0
    finished: bool = False
    curve: list[Point] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    best: Validation | None = None
    damaged: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def as_values(self) -> dict[str, Any]:
        """The state as values that a checkpoint may hold."""
        return asdict(self)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> State:
        """The state that :meth:`as_values` gave."""
        best = values["best"]
        return cls(
            **{
                **values,
                "curve": [Point(**point) for point in values["curve"]],
                "validations": [Validation(**validation) for validation in values["validations"]],
                "best": None if best is None else Validation(**best),
            }
        )

    def next_attempt(self, why: str, rate_scale: float) -> State:
        """The state in which the next attempt begins; the pictures known to be damaged stay known."""
        return State(
            attempt=self.attempt + 1,
            rate_scale=rate_scale,
            damaged=self.damaged,
            failures=[*self.failures, why],
        )
