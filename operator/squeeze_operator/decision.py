"""What `decide` hands to `apply`, for models and for trainings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Announcement:
    """A Kubernetes Event about a change: type is Normal or Warning."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True)
class Decision:
    """The objects to delete and to apply, the status (without times; None: leave it) and what to announce."""

    objects: tuple[Json, ...] = ()
    unwanted: tuple[Mapping[str, Any], ...] = ()
    """Live objects to delete before anything is applied."""
    changes: tuple[Json, ...] = ()
    """Merge patches of live objects whose other fields cannot be applied again."""
    status: Json | None = None
    announcements: tuple[Announcement, ...] = ()
    look_again: bool = False
    """Whether it is not settled: look again soon, also where no watch would tell of the change."""
    follow_seconds: float | None = None
    """Where it moves on without any event, how often to look for as long as that lasts."""
