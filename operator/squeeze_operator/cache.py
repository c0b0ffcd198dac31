"""What the watches have delivered last of every object, so that a look at a model needs no request.

Controllers everywhere read from such a cache (client-go's informers); without it each event costs six reads,
and a thousand models keep an API server and the operator busy with nothing else. What makes it safe here:

- That something is not there is believed where a watch would tell of it (`absences`). A stranger's object,
  which carries no label of ours, is met when ours is made: what is there already is read, never written to.
- Every look that no event asked for (resync, retry, audit) reads from the API server and corrects the cache,
  so a watch that stays silent delays a look and never hides a change for good.
- Writes name the uid that they are meant for.
"""

from collections import defaultdict
from collections.abc import Mapping
from sys import intern
from typing import Any

from squeeze_operator.absences import Absences
from squeeze_operator.api import Api, KindMissing
from squeeze_operator.names import (
    ENDPOINT_SLICES,
    FIELD_MANAGER,
    MODEL_LABEL,
    MODELS,
    PODS,
    SERVICE_NAME_LABEL,
    TRAINING_LABEL,
    TRAININGS,
    UNWATCHED,
    Key,
    Resource,
    app_label,
)

Json = dict[str, Any]
_SHARED_LENGTH = 128
"""Longer texts are messages and the like, which no two objects have in common."""


class WatchCache:
    """The newest known version of each object, by kind, namespace and name. Not thread-safe."""

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[Key, Json]] = defaultdict(dict)
        self._pods: dict[Key, dict[str, Json]] = defaultdict(dict)
        """Pods by model, since a model's pods are only ever wanted together."""
        self._marks: dict[Resource, int] = defaultdict(int)
        self.absences = Absences()

    def deliver(self, resource: Resource, event: Mapping[str, Any]) -> bool:
        """Notes a watch event (object and type, which is None where a watch has begun with a list).

        Returns whether it is news: the echo of a write of ours, whose answer is here already, is none.
        """
        live, kind = event["object"], event.get("type")
        known = self._objects[resource].get(_key(live))
        news = known is None or kind == "DELETED" or _version(known) < _version(live)
        self._marks[resource] = max(self._marks[resource], _version(live))
        if resource is PODS:
            self._deliver_pod(live, gone=kind == "DELETED")
        # It may only have lost our label, so this is not the word that it is not there.
        elif kind == "DELETED":
            if known is not None and _version(known) <= _version(live):
                self.forget(resource, _key(live))
        elif kind is None:
            # A list is the truth even where it is older, as after a restored backup.
            self._objects[resource][_key(live)] = slim(live)
            self.absences.settle(resource, _key(live))
        else:
            self._put(resource, live)
        return news or kind is None

    def offer(self, resource: Resource, live: Json, owner: Key) -> None:
        """Notes an object that a request has answered, unless the watch has got further already.

        Of one that no watch tells of, or has told of, nothing would tell that it has gone: the owner's next
        look asks.
        """
        if resource in UNWATCHED:
            return
        if _followed(resource, live) and _version(live) > self._marks[resource]:
            self._put(resource, live)
        elif _key(live) not in self._objects[resource]:
            self.absences.doubt(resource, _key(live), owner)

    def forget(self, resource: Resource, key: Key) -> None:
        """Notes that there is no such object."""
        self._objects[resource].pop(key, None)

    def note_kind(self, resource: Resource, served: bool) -> None:
        """Notes whether the API server serves this kind."""
        self.absences.note_kind(resource, served)
        if not served:
            self._objects.pop(resource, None)

    def get(self, resource: Resource, key: Key) -> Json | None:
        """The object, or None where none is known."""
        return self._objects[resource].get(key)

    def all(self, resource: Resource) -> list[Json]:
        """All known objects of a kind."""
        return list(self._objects[resource].values())

    def pods(self, model: Key) -> list[Json]:
        """The known pods of a model."""
        return list(self._pods.get(model, {}).values())

    def mark(self, resource: Resource) -> int:
        """The newest version of any object of a kind that its watch has delivered."""
        return self._marks[resource]

    def correct_pods(self, model: Key, listed: list[Json], mark: int) -> None:
        """Drops pods that a request has not listed, apart from those newer than the mark before it."""
        names = {pod["metadata"]["name"] for pod in listed}
        for pod in self.pods(model):
            if pod["metadata"]["name"] not in names and _version(pod) <= mark:
                self._deliver_pod(pod, gone=True)

    def _put(self, resource: Resource, live: Json) -> None:
        self.absences.settle(resource, _key(live))
        known = self._objects[resource].get(_key(live))
        if known is None or _version(known) < _version(live):
            self._objects[resource][_key(live)] = slim(live)

    def _deliver_pod(self, pod: Json, gone: bool) -> None:
        model = Key(pod["metadata"]["namespace"], str((pod["metadata"].get("labels") or {}).get(MODEL_LABEL)))
        name = str(pod["metadata"]["name"])
        if not gone:
            self.absences.settle(PODS, model)
            self._pods[model][name] = slim(pod)
            return
        self._pods[model].pop(name, None)
        if not self._pods[model]:
            del self._pods[model]


class Reads:
    """Reads for one look at an owner: from the cache, or from the API server where the look is `live`."""

    def __init__(self, api: Api, cache: WatchCache, owner: Key, live: bool) -> None:
        self._api = api
        self._cache = cache
        self._owner = owner
        self.live = live

    async def get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """The object, or None where there is none. Raises KindMissing, ApiError."""
        key, absences = Key(namespace, name), self._cache.absences
        before = self._cache.get(resource, key)
        if not self.live:
            if before is not None:
                return before
            if absences.unserved(resource):
                raise KindMissing(
                    404, f"{resource.api_version}: the API server does not serve {resource.kind}"
                )
            if absences.believes(resource, key):
                return None
        try:
            found = await self._api.get(resource, namespace, name)
        except KindMissing:
            absences.note_kind(resource, served=False)
            raise
        absences.note_kind(resource, served=True)
        if found is not None:
            self._cache.offer(resource, found, self._owner)
        elif self._cache.get(resource, key) is before:
            # Else the watch has told of it since the question.
            self._cache.forget(resource, key)
            absences.settle(resource, key)
        return found

    async def pods(self, model: Key) -> list[Json]:
        """The pods of KServe's Deployment for a model. Raises ApiError."""
        label = app_label(model.name)
        if not self.live:
            known = self._cache.pods(model)
            mine = [pod for pod in known if pod["metadata"]["labels"].get("app") == label]
            if mine or self._cache.absences.believes(PODS, model):
                return mine
        mark = self._cache.mark(PODS)
        listed = await self._api.list(PODS, model.namespace, f"app={label}")
        self._cache.correct_pods(model, listed, mark)
        if listed and not self._cache.pods(model):
            self._cache.absences.doubt(PODS, model, self._owner)
        else:
            self._cache.absences.settle(PODS, model)
        return listed

    async def endpoint_slices(self, service: Key) -> list[Json]:
        """The EndpointSlices of a Service whose slices are watched. Raises ApiError."""
        known = [
            one
            for one in self._cache.all(ENDPOINT_SLICES)
            if one["metadata"]["namespace"] == service.namespace
            and (one["metadata"].get("labels") or {}).get(SERVICE_NAME_LABEL) == service.name
        ]
        if known and not self.live:
            return known
        selector = f"{SERVICE_NAME_LABEL}={service.name}"
        return await self._api.list(ENDPOINT_SLICES, service.namespace, selector)

    async def workers(self, training: Key) -> list[Json]:
        """The pods of a training, which no watch delivers. Raises ApiError."""
        return await self._api.list(PODS, training.namespace, f"{TRAINING_LABEL}={training.name}")


def slim(live: Json) -> Json:
    """A copy without other managers' managedFields, and with equal texts held once in memory."""
    metadata = dict(live["metadata"])
    fields = metadata.pop("managedFields", None) or []
    ours = [entry for entry in fields if entry.get("manager") == FIELD_MANAGER]
    kept = live | {"metadata": metadata | ({"managedFields": ours} if ours else {})}
    copied: Json = _shared(kept)
    return copied


def _shared(value: Any) -> Any:
    if isinstance(value, dict):
        return {intern(key): _shared(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_shared(below) for below in value]
    return intern(value) if isinstance(value, str) and len(value) < _SHARED_LENGTH else value


def _followed(resource: Resource, live: Json) -> bool:
    """Whether a watch tells of the object."""
    labels = live["metadata"].get("labels") or {}
    return resource in (MODELS, TRAININGS) or MODEL_LABEL in labels or TRAINING_LABEL in labels


def _key(live: Json) -> Key:
    return Key(str(live["metadata"]["namespace"]), str(live["metadata"]["name"]))


def _version(live: Json) -> int:
    # Comparable as numbers: Kubernetes KEP-5504.
    return int(live["metadata"]["resourceVersion"])
