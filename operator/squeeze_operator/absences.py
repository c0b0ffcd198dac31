"""What the API server has said is not there, so that the next look need not ask again.

Only its own answer is believed, never that a watch has told of nothing: the watches follow a label, and a
stranger's object carries none. An answer holds while a watch would tell of the contrary; those about a kind
without a living watcher are forgotten. A stranger's object that comes later is found by the next live look,
and by the one that goes before everything that is made.
"""

from collections import defaultdict
from collections.abc import Set

from squeeze_operator.names import Key, Resource


class Absences:
    """Objects that are not there, and kinds that are not served. Not thread-safe."""

    def __init__(self) -> None:
        self._absent: dict[Resource, dict[Key, Key]] = defaultdict(dict)
        """By kind and key, with the owner whose look asked last."""
        self._watched: Set[Resource] = frozenset()
        self._unserved: set[Resource] = set()

    def note(self, resource: Resource, key: Key, owner: Key) -> None:
        """Notes that the API server has no such object; `owner` is whose look wanted it."""
        if resource in self._watched:
            self._absent[resource][key] = owner

    def believes(self, resource: Resource, key: Key) -> bool:
        """Whether it is known that there is no such object."""
        return key in self._absent[resource]

    def end(self, resource: Resource, key: Key) -> None:
        """Notes that there is such an object."""
        self._absent[resource].pop(key, None)
        self._unserved.discard(resource)

    def watched(self, resources: Set[Resource]) -> None:
        """Tells of which kinds a watcher is alive; of all others nothing is believed."""
        for resource in self._watched - resources:
            self._absent.pop(resource, None)
        self._watched = resources

    def note_kind(self, resource: Resource, served: bool) -> None:
        """Notes whether the API server serves a kind."""
        if served:
            self._unserved.discard(resource)
        else:
            self._unserved.add(resource)
            self._absent.pop(resource, None)

    def unserved(self, resource: Resource) -> bool:
        """Whether it is known that the API server does not serve this kind."""
        return resource in self._unserved

    def forget_except(self, owners: Set[Key]) -> None:
        """Drops what only owners that are gone wanted to know."""
        for resource, absent in self._absent.items():
            self._absent[resource] = {key: owner for key, owner in absent.items() if owner in owners}
