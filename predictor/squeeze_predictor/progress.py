"""Whether pictures that are being answered get answered: what liveness asks about the workers.

A thread that hangs cannot be ended, only the process can: so a server that makes no progress has to say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic


class Progress:
    """Lives on the event loop. ``limit``: seconds that one step of one picture may take at most."""

    def __init__(self, limit: float, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._working: dict[object, float] = {}
        self._waiting = 0
        self._last = clock()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around a request from its admission to its answer."""
        if self._waiting == 0:
            self._last = self._clock()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around what a thread does."""
        step = object()
        self._working[step] = self._clock()
        try:
            yield
        finally:
            del self._working[step]
            self._last = self._clock()

    @property
    def stalled(self) -> str | None:
        """Why only a restart helps: a step that does not end, or a queue that does not move."""
        now = self._clock()
        if any(now - began > self._limit for began in self._working.values()):
            return f"a worker has been at one picture for more than {self._limit:g} seconds"
        if self._waiting and not self._working and now - self._last > self._limit:
            return f"pictures wait, and no worker has begun one for {self._limit:g} seconds"
        return None
