"""Tells the events of an object that say something new from those that only measure again.

A HorizontalPodAutoscaler's status is written every 15 seconds with the load of the moment, a ScaledObject's
with the time of the last load. Looking at the model each time would cost a thousand idle models hundreds of
requests a second. A training's progress is written by the operator itself: a look because of it would find
more progress, and so on without a pause.
"""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


class News:
    """What was last seen of each object, apart from measurements."""

    def __init__(self) -> None:
        self._seen: dict[str, Json] = {}

    def worth(self, event: Json) -> bool:
        """Whether a watch event (type and object) is worth a look at its owner."""
        uid = str(event["object"]["metadata"]["uid"])
        if event.get("type") == "DELETED":
            self._seen.pop(uid, None)
            return True
        told = _told(event["object"])
        new = self._seen.get(uid) != told
        self._seen[uid] = told
        return new


def _told(live: Json) -> Json:
    metadata, status = live["metadata"], live.get("status") or {}
    return {
        "spec": live.get("spec"),
        "labels": metadata.get("labels"),
        "owners": metadata.get("ownerReferences"),
        "deletion": metadata.get("deletionTimestamp"),
        "wanted": status.get("desiredReplicas"),
        "conditions": [
            (condition.get("type"), condition.get("status"), condition.get("reason"))
            for condition in status.get("conditions") or []
        ],
    }
