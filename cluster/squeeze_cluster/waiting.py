"""Waits for a state of the world, with a bound and a message for when it does not come."""

import time
from collections.abc import Callable

from squeeze_cluster.errors import ClusterError


def until(reached: Callable[[], bool], seconds: float, otherwise: str, every: float = 0.5) -> None:
    """Return as soon as `reached()`; raise ClusterError(`otherwise`) when that takes over `seconds`."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise ClusterError(f"{otherwise} (waited {seconds:.0f} s)")
        time.sleep(every)
