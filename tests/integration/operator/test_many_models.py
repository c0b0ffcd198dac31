"""Fifty models at once on a real API server: what they cost, told by the API server itself."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from integration.apiserver import ControlPlane
from integration.operator_runner import RunningOperator
from scale.client import Client
from scale.crowd import Crowd
from scale.launched import SERVED
from scale.player import Player, ended
from squeeze_operator.workqueue import LOOK_AGAIN_SECONDS

MODELS = 50
WRITES_A_MODEL = 9
"""From nothing to Ready: three objects, an event, and the status each time that it becomes another."""
WRITES_A_CHANGE = 7
READS_A_LOOK = 9
"""A live look reads the model and all that may be around it; beyond those a model is worth one read."""
LOOKS_APART_SECONDS = LOOK_AGAIN_SECONDS / 2
"""How soon a model that waits may be looked at live again: on a slow machine it waits, and is read, more."""


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


def within(asked: Counter[str], models: int, writes_a_model: int, seconds: float) -> None:
    """Fails where so many models cost more writes than each may, or more reads than live looks are due."""
    reads = Counter({what: asked[what] for what in asked if what.split()[0] in {"get", "list"}})
    looks = asked["get squeezemodels"]
    assert (asked - reads).total() <= writes_a_model * models, asked
    assert reads.total() <= READS_A_LOOK * looks + models, asked
    assert looks <= models * seconds / LOOKS_APART_SECONDS, (seconds, asked)


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

    begun = time.monotonic()
    await until(all_ready, "all are Ready")
    await until(silent, "a converged model costs nothing but the audits")
    from_nothing = Counter(about_models())
    within(from_nothing, MODELS, WRITES_A_MODEL, time.monotonic() - begun)
    assert from_nothing["patch inferenceservices"] == MODELS, "each is written once"

    begun = time.monotonic()
    await crowd.change(seconds=2, per_second=10)
    await until(all_ready, "all are Ready again")
    await until(silent, "and cost nothing again")
    changed = Counter(about_models()) - from_nothing
    assert len(crowd.arrived) == len(crowd.changed) == 20
    assert changed["patch inferenceservices"] == 20, changed
    within(changed, 20, WRITES_A_CHANGE, time.monotonic() - begun)
    assert operator.health.not_alive() is None
