"""Which objects may be taken for absent without a question, because a watch would tell of them.

A watch that has begun tells of every object with the label that it follows, and a stranger's carries none. So
what is believed here is enough to try and make an object (`Api.create` makes nothing where something is), and
no more. Of what a request has found and no watch tells, and of what the operator has deleted itself, there is
doubt: it is asked for each time.
"""

from collections import defaultdict
from collections.abc import Iterable, Set

from squeeze_operator.names import Key, Resource


class Absences:
    """Kinds whose objects are told of, objects in doubt, and kinds that are not served. Not thread-safe."""

    def __init__(self) -> None:
        self._listed: set[tuple[Resource, str | None]] = set()
        """Kinds of which a watch has told all there was, in a namespace or (None) everywhere."""
        self._doubts: dict[Resource, dict[Key, Key]] = defaultdict(dict)
        """By kind and key, with the owner whose look wants to know."""
        self._unserved: set[Resource] = set()

    def list_ended(self, resource: Resource, namespace: str | None) -> None:
        """Notes that a watch has told of all objects of a kind, in a namespace or everywhere."""
        self._listed.add((resource, namespace))

    def listed(self, resources: Iterable[Resource], namespaces: Iterable[str | None]) -> bool:
        """Whether that is so of all of these kinds in all of these namespaces."""
        scopes = tuple(namespaces)
        return all((resource, scope) in self._listed for resource in resources for scope in scopes)

    def believes(self, resource: Resource, key: Key) -> bool:
        """Whether an object that no watch has told of may be taken for absent."""
        told = not self._listed.isdisjoint({(resource, None), (resource, key.namespace)})
        return told and key not in self._doubts[resource]

    def doubt(self, resource: Resource, key: Key, owner: Key) -> None:
        """Notes that there may be such an object without a word from a watch; `owner` is whose look asks."""
        self._doubts[resource][key] = owner

    def settle(self, resource: Resource, key: Key) -> None:
        """Notes that the API server has said that there is no such object, or a watch that there is."""
        self._doubts[resource].pop(key, None)
        self._unserved.discard(resource)

    def watched(self, resources: Set[Resource]) -> None:
        """Tells of which kinds a watcher is alive; of all others nothing is believed."""
        self._listed = {entry for entry in self._listed if entry[0] in resources}

    def note_kind(self, resource: Resource, served: bool) -> None:
        """Notes whether the API server serves a kind."""
        if served:
            self._unserved.discard(resource)
            return
        self._unserved.add(resource)
        self._listed = {entry for entry in self._listed if entry[0] != resource}

    def unserved(self, resource: Resource) -> bool:
        """Whether it is known that the API server does not serve this kind."""
        return resource in self._unserved

    def forget_except(self, owners: Set[Key]) -> None:
        """Drops what only owners that are gone wanted to know."""
        for resource, doubts in self._doubts.items():
            self._doubts[resource] = {key: owner for key, owner in doubts.items() if owner in owners}
