"""Fifty models at once on a real API server: what they cost, told by the API server itself."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from integration.apiserver import ControlPlane
from integration.operator_runner import RunningOperator
from scale.client import Client
from scale.crowd import Crowd
from scale.launched import SERVED
from scale.player import Player, ended

MODELS = 50
REQUESTS_A_MODEL = 16
"""From nothing to Ready: seven writes, and live looks at models that wait for long."""
REQUESTS_A_CHANGE = 10


@pytest.fixture
async def crowd(kserve_plane: ControlPlane) -> AsyncIterator[Crowd]:
    """Fifty models, and somebody who plays KServe for them."""
    async with Client(kserve_plane) as client:
        many = Crowd(client, MODELS, "crowd")
        playing = asyncio.create_task(Player(client, many.namespaces, many.seen).run())
        await many.create()
        yield many
        await ended(playing)
        await many.delete()


async def until(look: Callable[[], Awaitable[bool]], what: str, seconds: float = 240) -> None:
    """Waits until it is so; fails, naming it, after that time."""
    try:
        async with asyncio.timeout(seconds):
            while not await look():
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("operator", [{"audit_seconds": 2.0}], indirect=True)
async def test_many_models_converge_change_and_then_cost_nothing_but_the_audits(
    kserve_plane: ControlPlane, operator: RunningOperator, crowd: Crowd
) -> None:
    operator.served = SERVED

    def about_models() -> list[str]:
        """Verbs and kinds of all that was asked about something in the crowd's namespaces."""
        return [
            f"{request['verb']} {request['objectRef']['resource']}"
            for request in kserve_plane.asked()
            if request["objectRef"].get("namespace") in crowd.namespaces
        ]

    def audits() -> int:
        """Lists of all models."""
        return sum(
            request["verb"] == "list" and request["objectRef"]["resource"] == "squeezemodels"
            for request in kserve_plane.asked()
        )

    async def all_ready() -> bool:
        return await crowd.conditions("Ready") == await crowd.conditions("Scaling") == MODELS

    async def silent() -> bool:
        """Whether three audits pass with nothing asked about any model."""
        before, begun = len(about_models()), audits()
        while audits() < begun + 3:
            await asyncio.sleep(0.2)
        return len(about_models()) == before

    await until(all_ready, "all are Ready")
    await until(silent, "a converged model costs nothing but the audits")
    from_nothing = Counter(about_models())
    assert from_nothing.total() <= REQUESTS_A_MODEL * MODELS, from_nothing
    assert from_nothing["patch inferenceservices"] == MODELS, "each is written once"

    await crowd.change(seconds=2, per_second=10)
    await until(all_ready, "all are Ready again")
    await until(silent, "and cost nothing again")
    changed = Counter(about_models()) - from_nothing
    assert len(crowd.arrived) == len(crowd.changed) == 20
    assert changed["patch inferenceservices"] == 20, changed
    assert changed.total() <= REQUESTS_A_CHANGE * 20, changed
    assert operator.health.not_alive() is None
