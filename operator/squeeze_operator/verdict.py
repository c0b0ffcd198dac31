"""The three conditions that speak about the whole, by kstatus: Ready, Reconciling and Stalled."""

from dataclasses import dataclass
from enum import StrEnum

from squeeze_operator.conditions import Condition
from squeeze_operator.reasons import Reason


@dataclass(frozen=True)
class Verdict:
    """What Ready, Reconciling and Stalled say together; one of them leads, or none (at rest)."""

    reason: StrEnum
    message: str
    ready: bool = False
    stalled: bool = False
    resting: bool = False
    """Neither done nor at work, as somebody asked."""
    retrying: str | None = None
    """What the API server failed to do for a moment; it takes nothing away from what stands."""

    @property
    def moving(self) -> bool:
        """Whether work is going on."""
        return not self.stalled and not self.resting and (not self.ready or self.retrying is not None)


def leading(verdict: Verdict) -> list[Condition]:
    """Ready, Reconciling and Stalled of a verdict."""
    moving, settled, progressing = verdict.moving, Reason.SETTLED, Reason.PROGRESSING
    work = (Reason.API_ERROR, verdict.retrying) if verdict.retrying else (verdict.reason, verdict.message)
    return [
        Condition("Ready", verdict.ready, verdict.reason, verdict.message),
        Condition("Reconciling", True, *work)
        if moving
        else Condition(
            "Reconciling", False, Reason.STALLED if verdict.stalled else settled, "Nothing is moving"
        ),
        Condition("Stalled", True, verdict.reason, verdict.message)
        if verdict.stalled
        else Condition("Stalled", False, progressing if moving else settled, "Nothing stands in the way"),
    ]
