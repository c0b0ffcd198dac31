"""Carries out a decision: server-side apply of what differs, then the status, then the Events.

Nothing is written where the live object already says what we want, so a converged model costs no write.
"""

import datetime
import logging
from collections.abc import Mapping
from typing import Any

from squeeze_operator import metrics, names
from squeeze_operator.api import Api, ApiError
from squeeze_operator.cache import WatchCache
from squeeze_operator.conditions import find, with_times
from squeeze_operator.decision import Announcement, Decision
from squeeze_operator.diff import covers, differs
from squeeze_operator.names import Key, Resource

log = logging.getLogger(__name__)
Json = dict[str, Any]


async def apply_objects(
    api: Api, cache: WatchCache, owner: Key, children: Mapping[str, Mapping[str, Any]], decision: Decision
) -> bool:
    """Deletes what is no longer wanted, then writes the children that differ. Raises ApiError.

    `children`: the live objects by kind. Returns whether any has become another one by that.
    """
    changed = bool(decision.unwanted)
    for unwanted in decision.unwanted:
        await _delete_object(api, cache, owner, unwanted)
    for wanted in decision.objects:
        live = children.get(wanted["kind"])
        if live is None or differs(wanted, live):
            changed |= await _apply_object(api, cache, owner, wanted, live)
    for change in decision.changes:
        if not covers(children[change["kind"]], change):
            await _change_object(api, cache, owner, change)
            changed = True
    return changed


async def _delete_object(api: Api, cache: WatchCache, owner: Key, unwanted: Mapping[str, Any]) -> None:
    resource, meta = names.WRITTEN[unwanted["kind"]], unwanted["metadata"]
    await api.delete(resource, unwanted)
    key = Key(meta["namespace"], meta["name"])
    cache.forget(resource, key)
    # A finalizer may keep it.
    cache.absences.doubt(resource, key, owner)
    metrics.WRITES.labels(resource.kind).inc()
    log.info("deleted %s %s", resource.kind, meta["name"])


async def _apply_object(
    api: Api, cache: WatchCache, owner: Key, wanted: Json, live: Mapping[str, Any] | None
) -> bool:
    resource = names.WRITTEN[wanted["kind"]]
    if live is None:
        written = await api.create(resource, wanted)
    else:
        # The uid makes the write fail where the object has been replaced since it was read.
        meta = wanted["metadata"] | {"uid": live["metadata"]["uid"]}
        written = await api.apply(resource, wanted | {"metadata": meta})
    cache.offer(resource, written, owner)
    metrics.WRITES.labels(resource.kind).inc()
    log.info("%s %s %s", "updated" if live else "created", resource.kind, wanted["metadata"]["name"])
    return live is None or written["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]


async def _change_object(api: Api, cache: WatchCache, owner: Key, change: Json) -> None:
    resource = names.WRITTEN[change["kind"]]
    cache.offer(resource, await api.merge(resource, change), owner)
    metrics.WRITES.labels(resource.kind).inc()
    log.info("changed %s %s: %s", resource.kind, change["metadata"]["name"], change["spec"])


async def apply_status(
    api: Api, cache: WatchCache, resource: Resource, owner: Mapping[str, Any], decision: Decision
) -> None:
    """Writes an owner's status where it differs, and announces the change. Raises ApiError."""
    if decision.status is None:
        return
    before = owner.get("status") or {}
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = decision.status | {"conditions": with_times(decision.status["conditions"], before, now)}
    if status == before:
        return
    key = Key(owner["metadata"]["namespace"], owner["metadata"]["name"], resource.kind)
    identity = {field: owner["metadata"][field] for field in ("name", "namespace", "uid")}
    body = {"apiVersion": names.API_VERSION, "kind": resource.kind, "metadata": identity, "status": status}
    cache.offer(resource, await api.apply_status(resource, body), key)
    metrics.WRITES.labels(resource.kind).inc()
    _log_change(before, status)
    for announcement in decision.announcements:
        await _announce(api, resource, owner["metadata"], announcement, now)


def _log_change(before: Mapping[str, Any], status: Mapping[str, Any]) -> None:
    """One line for each change of mind; a message that merely counts differently is no change."""
    changed = [
        f"{new['type']} {new['status']} ({new['reason']})"
        for new in status["conditions"]
        if [new[field] for field in ("status", "reason")]
        != [find(before, new["type"]).get(field) for field in ("status", "reason")]
    ]
    if changed:
        ready = find(status, "Ready")
        log.info("%s. %s", ", ".join(changed), ready["message"], extra={"reason": ready["reason"]})


async def _announce(
    api: Api, resource: Resource, metadata: Mapping[str, Any], announcement: Announcement, now: str
) -> None:
    event = {
        "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": resource.kind,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": announcement.type,
        "reason": announcement.reason,
        # The API limits an Event's message to 1024 bytes.
        "message": announcement.message.encode()[:1024].decode(errors="ignore"),
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    try:
        await api.create_event(event)
        metrics.WRITES.labels("Event").inc()
    except ApiError as error:
        # An Event is a courtesy: the status says the same and has been written.
        log.warning("no Event: %s", error)
