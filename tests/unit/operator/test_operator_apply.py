"""A status is written by itself; what else has changed meanwhile is still news."""

from __future__ import annotations

from typing import Any

import pytest
from squeeze_operator.apply import apply_status
from squeeze_operator.cache import WatchCache
from squeeze_operator.decision import Decision
from squeeze_operator.names import MODELS

Json = dict[str, Any]


def model(version: int, generation: int) -> Json:
    metadata = {"namespace": "team", "name": "digits", "uid": "u", "generation": generation}
    return {"metadata": metadata | {"resourceVersion": str(version)}}


class Server:
    """An API server whose model has this generation by the time at which its status is written."""

    def __init__(self, generation: int) -> None:
        self.generation = generation

    async def apply_status(self, _resource: object, _body: object) -> Json:
        return model(3, self.generation)


@pytest.mark.parametrize(("generation", "news"), [(1, False), (2, True)])
async def test_a_change_during_the_write_of_a_status_is_news(generation: int, news: bool) -> None:
    cache, read = WatchCache(), model(1, 1)
    cache.deliver(MODELS, {"type": "ADDED", "object": read})
    await apply_status(Server(generation), cache, MODELS, read, Decision(status={"conditions": []}))  # type: ignore[arg-type]
    assert cache.deliver(MODELS, {"type": "MODIFIED", "object": model(2, 2)}) is news
