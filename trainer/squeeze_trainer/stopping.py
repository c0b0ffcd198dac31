"""A request to stop (SIGTERM or SIGINT) is remembered, and acted on between two steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """``asked`` turns true with the first signal and stays so."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """A signal handler: does as little as one may."""
        self.asked = True


@contextmanager
def listening() -> Iterator[Stop]:
    """A Stop that hears SIGTERM and SIGINT; the handlers from before come back."""
    stop = Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
