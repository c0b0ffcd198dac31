"""A de-duplicating queue of keys with per-key back-off, after client-go's workqueue.

A key is handled by one worker at a time. A key added while it is being handled is handled once more
afterwards, however often it was added. Failures back off exponentially, key by key, so one broken model
holds nobody up.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from squeeze_operator import metrics
from squeeze_operator.names import Key

BASE_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 120.0
LOOK_AGAIN_SECONDS = 20.0
LOOKS_IN_A_ROW = 6
"""So many looks come at that pace: what a moment's wait settles is settled by then."""


class WorkQueue:
    """Not thread-safe: add from the event loop's thread only."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self.jitter = jitter
        self._waiting: deque[Key] = deque()
        self._dirty: set[Key] = set()
        self._live: set[Key] = set()
        """Keys whose next look must not rely on what the watches told."""
        self._active: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._looks: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._since: dict[Key, float] = {}
        """When each waiting key began to wait."""
        self._wakeup = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: Key, live: bool = False) -> None:
        """Asks for the key to be handled, as soon as a worker is free, because an event told of a change.

        `live` asks for a look that relies on no event; it keeps the rhythm of `again`, which an event resets.
        """
        if live:
            self._live.add(key)
        else:
            self._looks.pop(key, None)
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._active:
            self._push(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Asks for a live look in a while; the earliest of several such wishes holds."""
        loop = asyncio.get_running_loop()
        due, timer = loop.time() + seconds, self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

    def again(self, key: Key, most_seconds: float) -> None:
        """Asks for a live look soon, and after some in a row without an event less and less often."""
        looks = self._looks[key] = self._looks.get(key, 0) + 1
        seconds = LOOK_AGAIN_SECONDS * 2.0 ** min(max(0, looks - LOOKS_IN_A_ROW), 16)
        self.resync(key, min(seconds, most_seconds))

    def resync(self, key: Key, seconds: float) -> None:
        """Asks for a live look in about that time; the jitter spreads a thousand models."""
        self.add_after(key, seconds * (0.5 + self.jitter()))

    async def take(self) -> tuple[Key, bool]:
        """The next key, which counts as active until `done`, and whether the look must be a live one."""
        while not self._waiting:
            self._wakeup.clear()
            await self._wakeup.wait()
        key = self._waiting.popleft()
        self._dirty.discard(key)
        self._active.add(key)
        metrics.QUEUE_LENGTH.set(len(self._waiting))
        metrics.QUEUE_SECONDS.observe(time.monotonic() - self._since.pop(key))
        live = key in self._live
        self._live.discard(key)
        return key, live

    def done(self, key: Key) -> None:
        """Ends the handling of a key that `take` gave."""
        self._active.discard(key)
        if key in self._dirty:
            self._push(key)

    @contextmanager
    def handling(self, key: Key) -> Iterator[None]:
        """Calls `done` in the end."""
        try:
            yield
        finally:
            self.done(key)

    def succeeded(self, key: Key) -> None:
        """Forgets the failures of a key."""
        self._failures.pop(key, None)
        metrics.RETRYING.set(len(self._failures))

    def failed(self, key: Key) -> float:
        """Asks for another try with back-off; returns the delay in seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        metrics.RETRYING.set(len(self._failures))
        # The exponent is bounded before the power, which would overflow after a night of failures.
        delay = min(MAX_DELAY_SECONDS, BASE_DELAY_SECONDS * 2.0 ** min(failures - 1, 16))
        delay *= 0.75 + 0.5 * self.jitter()
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """Drops all memory of a key whose model is gone."""
        self.succeeded(key)
        self._looks.pop(key, None)
        self._live.discard(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Cancels the timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key, live=True)

    def _push(self, key: Key) -> None:
        self._waiting.append(key)
        self._since[key] = time.monotonic()
        metrics.QUEUE_LENGTH.set(len(self._waiting))
        self._wakeup.set()
