"""Notices a watch that has silently stopped, by asking the API server from time to time what it has.

A watch can hang on a dead connection while everything looks alive (kopf#996, #1276). So every object that
the API server lists with a version that the watch has not delivered is noted, and put into the queue. Where
such a debt lasts beyond a bound, the liveness probe fails. An idle cluster owes nothing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from squeeze_operator import metrics, names
from squeeze_operator.api import ApiError, KindMissing
from squeeze_operator.names import Key, Resource

BOUND_SECONDS = 120.0
RETRY_SECONDS = 5.0
log = logging.getLogger(__name__)


class WatchAudit:
    """What the watch has delivered, against what the API server has."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, int] = {}
        self._owed: dict[str, float] = {}
        self._recent: set[str] = set()
        """Of which the watch has told since the last audit; a list that it overtakes knows less than it."""
        self.synced_at: float | None = None
        """When the API server last answered an audit."""

    def delivered(self, uid: str, version: str, gone: bool) -> None:
        """Notes a watch event: the object's uid and resourceVersion, and whether it was deleted."""
        self._owed.pop(uid, None)
        self._recent.add(uid)
        if gone:
            self._seen.pop(uid, None)
        else:
            self._seen[uid] = int(version)

    def compare(self, listed: Iterable[Mapping[str, Any]]) -> list[Key]:
        """Notes what is owed and returns the models and trainings concerned; what is gone is forgotten."""
        now, owed, keys, uids = self._clock(), dict[str, float](), list[Key](), set[str]()
        for item in listed:
            metadata = item["metadata"]
            uid, version = str(metadata["uid"]), int(metadata["resourceVersion"])
            uids.add(uid)
            if not self._delivered(uid, version):
                owed[uid] = self._owed.get(uid, now)
                keys.append(key_of(item))
        self._owed = owed
        known = uids | self._recent
        self._seen = {uid: version for uid, version in self._seen.items() if uid in known}
        self._recent.clear()
        self.synced_at = now
        metrics.LAST_AUDIT.set_to_current_time()
        metrics.WATCH_LAG.set(self.lag())
        return keys

    def _delivered(self, uid: str, version: int) -> bool:
        seen = self._seen.get(uid)
        # What the watch has told of lately and does not hold any more is gone.
        return uid in self._recent if seen is None else seen >= version

    def lag(self) -> float:
        """For how many seconds the oldest undelivered change has been known."""
        return max((self._clock() - since for since in self._owed.values()), default=0.0)


async def run_audit(
    audit: WatchAudit,
    list_owners: Callable[[], Awaitable[list[dict[str, Any]]]],
    enqueue: Callable[[Key], None],
    unwatched: Callable[[], Awaitable[bool]],
    optional_kinds: Callable[[], Awaitable[Mapping[Resource, bool]]],
    note_kind: Callable[[Resource, bool], None],
    restart_watches: Callable[[], None],
    interval_seconds: float,
) -> None:
    """Audits for ever; an API server that does not answer is no fault of the watch.

    A kind that is served and not watched in two audits in a row starts the watches anew. Where one of the
    `optional_kinds` has arrived since the last audit, everything is looked at, whether or not kopf has
    noticed it.
    """
    suspect, arrived, served = False, False, dict[Resource, bool]()
    while True:
        pause = min(interval_seconds, RETRY_SECONDS)
        try:
            before, served = served, dict(await optional_kinds())
            for kind in served:
                note_kind(kind, served[kind])
            arrived |= any(served[kind] and not before.get(kind, True) for kind in served)
            listed = await list_owners()
            owed = audit.compare(listed)
            for key in map(key_of, listed) if arrived else owed:
                enqueue(key)
            arrived = False
            missing = await unwatched()
            if missing and suspect:
                restart_watches()
            suspect = missing and not suspect
            if not missing and served.get(names.INFERENCE_SERVICES, True):
                pause = interval_seconds
        except KindMissing:
            log.error("the SqueezeModel CRD is not installed; waiting for it")
        except ApiError as error:
            log.warning("audit: %s", error)
        await asyncio.sleep(pause)


def key_of(item: Mapping[str, Any]) -> Key:
    """The key of a listed model or training."""
    return Key(str(item["metadata"]["namespace"]), str(item["metadata"]["name"]), str(item["kind"]))
