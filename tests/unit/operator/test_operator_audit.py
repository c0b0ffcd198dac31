"""The audit looks at every model once KServe has arrived, and otherwise only at what the watch owes."""

from __future__ import annotations

import asyncio

from squeeze_operator.api import ApiError
from squeeze_operator.audit import WatchAudit, run_audit
from squeeze_operator.names import Key

MODELS = [
    {"metadata": {"uid": str(n), "resourceVersion": "1", "namespace": "default", "name": f"m{n}"}}
    for n in "ab"
]


async def audited(served: list[bool | Exception], rounds: int) -> list[list[str]]:
    """The names that each round of the audit enqueues, where KServe answers so; all events were delivered."""
    audit, found, answers = WatchAudit(), list[list[str]](), iter(served)
    for model in MODELS:
        audit.delivered(model["metadata"]["uid"], "1", gone=False)

    async def models() -> list[dict[str, object]]:
        found.append([])
        return list(MODELS)

    async def kserve() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def unwatched() -> bool:
        return False

    def enqueue(key: Key) -> None:
        found[-1].append(key.name)

    task = asyncio.create_task(
        run_audit(audit, models, enqueue, unwatched, kserve, lambda: None, lambda: None, 0.001)
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


async def test_all_models_are_looked_at_once_when_kserve_arrives() -> None:
    assert await audited([False, False, *[True] * 9], 4) == [[], [], ["ma", "mb"], []]


async def test_an_api_server_that_fails_meanwhile_hides_no_arrival() -> None:
    down = ApiError(500, "etcd is away")
    assert await audited([False, down, *[True] * 9], 4) == [[], [], ["ma", "mb"], []]
