"""Which events are worth a look, after what the operator's own writes have been answered."""

from __future__ import annotations

from typing import Any

import pytest
from squeeze_operator.audit import WatchAudit
from squeeze_operator.cache import WatchCache
from squeeze_operator.names import DEPLOYMENTS, INFERENCE_SERVICES, MODEL_LABEL, MODELS, Key
from squeeze_operator.references import References
from squeeze_operator.watch import child_handler, owner_handler

DIGITS = Key("team", "digits")


def seen(version: int, **labels: str) -> dict[str, Any]:
    metadata = {"namespace": DIGITS.namespace, "name": DIGITS.name, "uid": "u", "labels": labels}
    return {"metadata": metadata | {"resourceVersion": str(version)}}


async def test_a_change_whose_event_comes_after_the_answer_of_a_later_write_is_not_lost() -> None:
    cache, looks = WatchCache(), list[Key]()
    handle = owner_handler(MODELS, cache, WatchAudit(), References(), looks.append)
    await handle(event={"type": "ADDED", "object": seen(1)})
    # Between the look at version 1 and the write of its status, somebody has changed the spec: version 2.
    cache.offer(MODELS, seen(3), DIGITS)
    looks.clear()
    await handle(event={"type": "MODIFIED", "object": seen(2)})
    assert looks == [DIGITS]


@pytest.mark.parametrize(("version", "looks"), [(2, []), (3, [DIGITS])])
async def test_what_the_answer_to_a_write_has_said_of_a_child_is_no_news(
    version: int, looks: list[Key]
) -> None:
    cache, found = WatchCache(), list[Key]()
    handle = child_handler(INFERENCE_SERVICES, cache, found.append)
    mine = {MODEL_LABEL: DIGITS.name}
    await handle(event={"type": "ADDED", "object": seen(1, **mine)})
    cache.offer(INFERENCE_SERVICES, seen(2, **mine), DIGITS)
    found.clear()
    await handle(event={"type": "MODIFIED", "object": seen(version, **mine)})
    assert found == looks


async def test_a_child_that_goes_is_news_even_after_a_later_answer() -> None:
    cache, found = WatchCache(), list[Key]()
    handle = child_handler(DEPLOYMENTS, cache, found.append)
    await handle(event={"type": "ADDED", "object": seen(1, **{MODEL_LABEL: DIGITS.name})})
    found.clear()
    await handle(event={"type": "DELETED", "object": seen(2, **{MODEL_LABEL: DIGITS.name})})
    assert found == [DIGITS]
