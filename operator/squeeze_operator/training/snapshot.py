"""What the operator saw of one SqueezeTraining and everything around it, at one moment.

A snapshot is all that `decide` may look at: no client, clock or environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from squeeze_operator.names import JOBS, NETWORK_POLICIES
from squeeze_operator.ownership import controls
from squeeze_operator.snapshot import ApplyError, Options

Json = Mapping[str, Any]


@dataclass(frozen=True)
class TrainingSnapshot:
    """One SqueezeTraining (as the API holds it), its children, and the Job's pods."""

    training: Json
    options: Options
    now: float = 0.0
    """Unix time of the look."""
    children: Mapping[str, Json] = field(default_factory=dict)
    """Live objects by kind, ours or not."""
    pods: tuple[Json, ...] = ()
    claims: Mapping[str, Json] = field(default_factory=dict)
    """The PersistentVolumeClaims that the spec names and that are there, by name; read before the start."""
    progress: Json | None = None
    """What the leading worker says of its progress; None where it is silent."""
    apply_error: ApplyError | None = None

    @property
    def job(self) -> Json | None:
        """The live Job, where it is ours."""
        live = self.children.get(JOBS.kind)
        return live if live is not None and controls(self.training, live) else None

    @property
    def taken(self) -> str | None:
        """The kind of a child whose name somebody else holds, and without which there is no training."""
        foreign = (kind for kind, live in self.children.items() if not controls(self.training, live))
        return next((kind for kind in foreign if kind != NETWORK_POLICIES.kind), None)
