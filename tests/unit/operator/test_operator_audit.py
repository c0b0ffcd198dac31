"""The audit looks at every model once KServe or KEDA has arrived, else only at what the watch owes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from squeeze_operator import names
from squeeze_operator.api import ApiError
from squeeze_operator.audit import WatchAudit, run_audit
from squeeze_operator.names import Key, Resource

MODELS: list[dict[str, Any]] = [
    {
        "kind": "SqueezeModel",
        "metadata": {"uid": str(n), "resourceVersion": "1", "namespace": "default", "name": f"m{n}"},
    }
    for n in "ab"
]


async def audited(
    served: list[bool | Exception],
    rounds: int,
    kind: Resource = names.SCALED_OBJECTS,
    failing: tuple[int, ...] = (),
) -> list[list[str]]:
    """The names that each round of the audit enqueues, where KEDA answers so; all events were delivered.

    The lists of the `failing` rounds, counted from 1, get no answer.
    """
    audit, found, answers = WatchAudit(), list[list[str]](), iter(served)
    for model in MODELS:
        audit.delivered(model["metadata"]["uid"], "1", gone=False)

    async def models() -> list[dict[str, Any]]:
        found.append([])
        if len(found) in failing:
            raise ApiError(500, "etcd is away")
        return list(MODELS)

    async def optional() -> dict[Resource, bool]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return {names.INFERENCE_SERVICES: True, kind: answer}

    async def unwatched() -> bool:
        return False

    def enqueue(key: Key) -> None:
        found[-1].append(key.name)

    task = asyncio.create_task(
        run_audit(audit, models, enqueue, unwatched, optional, lambda *_: None, lambda: None, 0.001)
    )
    try:
        async with asyncio.timeout(10):
            while len(found) <= rounds:
                await asyncio.sleep(0.001)
    finally:
        task.cancel()
    return found[:rounds]


async def test_nothing_is_done_where_nothing_is_owed() -> None:
    assert await audited([True] * 9, 3) == [[], [], []]


@pytest.mark.parametrize("kind", names.OPTIONAL, ids=lambda kind: kind.kind)
async def test_all_models_are_looked_at_once_when_an_optional_kind_arrives(kind: Resource) -> None:
    assert await audited([False, False, *[True] * 9], 4, kind) == [[], [], ["ma", "mb"], []]


async def test_each_audit_tells_which_kinds_are_served() -> None:
    told: dict[Resource, bool] = {}

    async def nothing() -> list[dict[str, object]]:
        return []

    async def optional() -> dict[Resource, bool]:
        return {names.INFERENCE_SERVICES: True, names.SCALED_OBJECTS: False}

    async def unwatched() -> bool:
        return False

    audit = run_audit(
        WatchAudit(), nothing, lambda _: None, unwatched, optional, told.__setitem__, lambda: None, 60
    )
    task = asyncio.create_task(audit)
    async with asyncio.timeout(10):
        while len(told) < 2:
            await asyncio.sleep(0.001)
    task.cancel()
    assert told == {names.INFERENCE_SERVICES: True, names.SCALED_OBJECTS: False}


async def test_an_api_server_that_fails_meanwhile_hides_no_arrival() -> None:
    down = ApiError(500, "etcd is away")
    assert await audited([False, down, *[True] * 9], 3) == [[], ["ma", "mb"], []]


async def test_an_arrival_is_not_forgotten_where_the_list_of_the_models_fails() -> None:
    found = await audited([False, *[True] * 9], 4, failing=(2,))
    assert found == [[], [], ["ma", "mb"], []]


async def test_a_training_is_looked_at_as_a_training() -> None:
    audit = WatchAudit()
    training = {"kind": "SqueezeTraining", "metadata": MODELS[0]["metadata"]}
    assert audit.compare([training]) == [Key("default", "ma", "SqueezeTraining")]
