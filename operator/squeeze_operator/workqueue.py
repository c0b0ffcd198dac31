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
SOON_SECONDS = 0.5
"""Events of children come in bursts; each burst is worth one look and one write of the status."""
LOOKS_IN_A_ROW = 6
"""So many looks come at that pace: what a moment's wait settles is settled by then. Half of them are live."""


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
        self._agains: dict[Key, asyncio.TimerHandle] = {}
        self._bursts: dict[Key, asyncio.TimerHandle] = {}
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
        self._want(key)

    def add_soon(self, key: Key) -> None:
        """Asks for the key to be handled within a moment, in which more may happen of what has begun."""
        if key not in self._dirty and key not in self._bursts:
            loop = asyncio.get_running_loop()
            self._bursts[key] = loop.call_later(SOON_SECONDS, self._end_burst, key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Asks for a live look in a while; the earliest of several such wishes holds."""
        self._look_after(self._timers, key, seconds, live=True)

    def again(self, key: Key, most_seconds: float) -> None:
        """Asks for a look soon, and after some in a row without an event less and less often."""
        looks = self._looks[key] = self._looks.get(key, 0) + 1
        seconds = LOOK_AGAIN_SECONDS * 2.0 ** min(max(0, looks - LOOKS_IN_A_ROW), 16)
        live = looks % 2 == 0 or looks > LOOKS_IN_A_ROW
        self._look_after(self._agains, key, self._about(min(seconds, most_seconds)), live)

    def resync(self, key: Key, seconds: float) -> None:
        """Asks for a live look in about that time, which has been long enough for one that has settled."""
        _cancel(self._agains, key)
        self.add_after(key, self._about(seconds))

    def _about(self, seconds: float) -> float:
        # The jitter spreads a thousand models.
        return seconds * (0.5 + self.jitter())

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
        # This look sees all that has been told so far.
        _cancel(self._bursts, key)
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
        for timers in (self._timers, self._agains):
            _cancel(timers, key)

    def close(self) -> None:
        """Cancels the timers."""
        for timers in (self._timers, self._agains, self._bursts):
            for key in list(timers):
                _cancel(timers, key)

    def _end_burst(self, key: Key) -> None:
        self._bursts.pop(key, None)
        self.add(key)

    def _look_after(
        self, timers: dict[Key, asyncio.TimerHandle], key: Key, seconds: float, live: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        due, timer = loop.time() + seconds, timers.get(key)
        if timer is None or timer.when() > due:
            _cancel(timers, key)
            timers[key] = loop.call_at(due, self._fire, timers, key, live)

    def _fire(self, timers: dict[Key, asyncio.TimerHandle], key: Key, live: bool) -> None:
        timers.pop(key, None)
        if live:
            self._live.add(key)
        self._want(key)

    def _want(self, key: Key) -> None:
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._active:
            self._push(key)

    def _push(self, key: Key) -> None:
        self._waiting.append(key)
        self._since[key] = time.monotonic()
        metrics.QUEUE_LENGTH.set(len(self._waiting))
        self._wakeup.set()


def _cancel(timers: dict[Key, asyncio.TimerHandle], key: Key) -> None:
    timer = timers.pop(key, None)
    if timer is not None:
        timer.cancel()
