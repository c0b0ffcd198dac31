"""Which replicas of a model take requests, as its Service's EndpointSlices tell, and who waits for one."""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from squeeze_operator import names
from squeeze_operator.activator import metrics
from squeeze_operator.names import Key
from squeeze_operator.slices import ready_addresses

LINGER_SECONDS = 10.0
"""For how long a request counts: KEDA looks every few seconds, and its client may have left by then."""
Json = Mapping[str, Any]


class Backends:
    """Not thread-safe: use from the event loop's thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slices: dict[Key, dict[str, Json]] = defaultdict(dict)
        self._news: dict[Key, asyncio.Event] = {}
        self._waiting: dict[Key, int] = defaultdict(int)
        self._arrived: dict[Key, float] = {}
        self._turns = itertools.count()

    def deliver(self, event: Json) -> None:
        """Notes a watch event about a slice of a model's Service."""
        live = event["object"]
        metadata = live["metadata"]
        key = Key(str(metadata["namespace"]), str((metadata.get("labels") or {}).get(names.MODEL_LABEL)))
        if event.get("type") == "DELETED":
            self._slices[key].pop(str(metadata["name"]), None)
        else:
            self._slices[key][str(metadata["name"])] = live
        if not self._slices[key]:
            del self._slices[key]
        news = self._news.pop(key, None)
        if news is not None:
            news.set()

    def known(self, model: Key) -> bool:
        """Whether there is such a model with a Service."""
        return model in self._slices

    def ready(self, model: Key) -> tuple[str, ...]:
        """The addresses of the replicas that take requests."""
        return ready_addresses(self._slices.get(model, {}).values())

    def in_turn(self, model: Key) -> tuple[str, ...]:
        """The same, each time with another one first."""
        found = self.ready(model)
        turn = next(self._turns) % max(1, len(found))
        return found[turn:] + found[:turn]

    async def changed(self, model: Key, seconds: float) -> None:
        """Returns at the next change of the model's replicas, or when the seconds are over."""
        news = self._news.setdefault(model, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            return

    @contextmanager
    def waiting(self, model: Key) -> Iterator[None]:
        """Counts a request among those that wait for a replica."""
        self._waiting[model] += 1
        metrics.HELD.inc()
        try:
            yield
        finally:
            metrics.HELD.dec()
            self._waiting[model] -= 1
            if not self._waiting[model]:
                del self._waiting[model]

    def note_arrival(self, model: Key) -> None:
        """Notes a request that found no replica."""
        self._arrived[model] = self._clock()

    def held(self, model: Key) -> int:
        """How many requests wait for a replica; 1 also where none does any more that came a moment ago."""
        since = self._clock() - self._arrived.get(model, -LINGER_SECONDS)
        if since >= LINGER_SECONDS:
            self._arrived.pop(model, None)
        return max(self._waiting.get(model, 0), int(since < LINGER_SECONDS))
