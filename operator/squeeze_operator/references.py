"""Which models refer to which training, so that its end is news to them."""

from collections.abc import Mapping
from typing import Any

from squeeze_operator.names import TRAINING_KIND, Key

Json = Mapping[str, Any]


class References:
    """What the watch has last seen of spec.weights.trainingRef."""

    def __init__(self) -> None:
        self._trainings: dict[Key, Key] = {}

    def note(self, key: Key, model: Json) -> None:
        """Notes a model as the watch delivered it; an empty one is gone."""
        weights = (model.get("spec") or {}).get("weights") or {}
        name = (weights.get("trainingRef") or {}).get("name")
        if name:
            self._trainings[key] = Key(key.namespace, str(name), TRAINING_KIND)
        else:
            self._trainings.pop(key, None)

    def to(self, training: Key) -> list[Key]:
        """The models that refer to a training; none where the key is a model's."""
        return [model for model, named in self._trainings.items() if named == training]
