"""Bounds on what is held at a time: requests, and the bytes of their bodies."""

from collections.abc import Iterator
from contextlib import contextmanager

from squeeze_operator.activator import metrics


class Full(Exception):
    """There is no room for more at the moment."""


class TooLarge(Exception):
    """A body that would not fit even if nothing else were held."""


class Budget:
    """Not thread-safe: use from the event loop's thread only."""

    def __init__(self, most_requests: int, most_bytes: int) -> None:
        self._most_requests = most_requests
        self._most_bytes = most_bytes
        self._requests = 0
        self._bytes = 0

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """A place for one request, given back in the end. Raises Full."""
        if self._requests >= self._most_requests:
            raise Full
        self._requests += 1
        place = Place(self)
        try:
            yield place
        finally:
            self._requests -= 1
            self.take(-place.held, 0)

    def take(self, amount: int, held: int) -> None:
        """Notes more bytes (fewer where negative) of a request that holds some. Raises Full, TooLarge."""
        if held + amount > self._most_bytes:
            raise TooLarge
        if amount > 0 and self._bytes + amount > self._most_bytes:
            raise Full
        self._bytes += amount
        metrics.HELD_BYTES.set(self._bytes)


class Place:
    """What one request has taken of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held = 0

    def grow_to(self, size: int) -> None:
        """Makes room for a body of this many bytes in all. Raises Full, TooLarge."""
        if size > self.held:
            self._budget.take(size - self.held, self.held)
            self.held = size
