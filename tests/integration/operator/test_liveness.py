"""Liveness against a real API server, with tenfold impatience: what dies or hangs is told and named."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from integration.apiserver import ControlPlane, eventually, free_port
from integration.operator_runner import Model, RunningOperator
from squeeze_operator import health, names
from squeeze_operator.main import OperatorError
from squeeze_operator.snapshot import Served
from squeeze_operator.watch import OWNED

WATCHER_BOUND, LOOP_BOUND = health.WATCHER_BOUND_SECONDS / 10, health.LOOP_BOUND_SECONDS / 10
KINDS = {resource.plural for resource in (names.MODELS, names.TRAININGS, *OWNED)} - {"scaledobjects"}


@pytest.fixture
def impatient(kserve_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningOperator]:
    """An operator with all its watchers alive, and a probe with a tenth of the patience."""
    running = RunningOperator(kserve_plane.folder / "operator.kubeconfig", health_port=free_port())
    running.start()
    eventually(lambda: watched(running.health) >= KINDS, "all kinds are watched", timeout=60)
    monkeypatch.setattr(health, "WATCHER_BOUND_SECONDS", WATCHER_BOUND)
    monkeypatch.setattr(health, "LOOP_BOUND_SECONDS", LOOP_BOUND)
    yield running
    if running.error is None:
        running.stop()


def watched(seen: health.Health) -> set[str]:
    """The plurals of the kinds that have been watched."""
    return {name.removeprefix("watcher for ").partition(".")[0] for name in seen.watchers}


def test_every_watcher_that_dies_is_missed(impatient: RunningOperator) -> None:
    assert impatient.health.not_alive() is None
    impatient.end_tasks("watcher for ")

    def missed() -> bool:
        told = impatient.health.not_alive() or ""
        return all(f"watcher for {plural}." in told for plural in KINDS)

    eventually(missed, "each of them is named", timeout=60)


@pytest.mark.parametrize("operator", [{"audit_seconds": 3600.0}], indirect=True)
def test_rare_audits_leave_the_operator_ready(
    operator: RunningOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator.health, "_clock", lambda: time.monotonic() + 3600)
    eventually(lambda: operator.health.not_ready() is None, "the next audit is hardly due", timeout=5)
    monkeypatch.setattr(operator.health, "_clock", lambda: time.monotonic() + 3600 + 90)
    assert "has not answered for" in str(operator.health.not_ready())


@pytest.mark.parametrize("part", ["worker 2", "audit", "heartbeat"])
def test_a_part_that_dies_ends_the_operator(impatient: RunningOperator, part: str) -> None:
    impatient.end_tasks(part)
    died = impatient.join()
    assert isinstance(died, OperatorError)
    assert part in str(died)
    assert part in str(impatient.health.not_alive())


def test_the_health_page_answers_while_the_event_loop_stands_still(
    impatient: RunningOperator, kserve_plane: ControlPlane
) -> None:
    page = f"http://127.0.0.1:{impatient.settings.health_port}/livez"

    def live() -> httpx.Response:
        return httpx.get(page, trust_env=False, timeout=1)

    assert live().status_code == 200
    blocked = 2 * LOOP_BOUND

    async def stand_still(*_: Any) -> Served | None:
        time.sleep(blocked)  # as a handler does that waits without giving way
        impatient.served = Served("sha256:" + "1" * 64, "cpu", "openvino")
        return impatient.served

    impatient.read_served = stand_still
    kube = kserve_plane.client()
    digits = Model(kube, "default", "still")
    digits.create()
    digits.kserve.deploy()
    eventually(lambda: live().status_code == 503, "the loop is missed", timeout=30)
    assert "event loop" in live().text
    eventually(lambda: live().status_code == 200, "and is alive again", timeout=30)
    kube.delete(digits.path)


def test_a_reconcile_that_waits_hinders_neither_the_pages_nor_other_models(
    impatient: RunningOperator, kserve_plane: ControlPlane
) -> None:
    never = asyncio.Event()

    async def wait(model: Any, *_: Any) -> Served | None:
        if model["metadata"]["name"] == "waits":
            await never.wait()
        return None

    impatient.read_served = wait
    kube = kserve_plane.client()
    waiting, other = (Model(kube, "default", name) for name in ("waits", "other"))
    waiting.create()
    waiting.kserve.deploy()
    eventually(lambda: any(impatient.health.busy_since()), "a worker waits")
    other.create()
    other.kserve.serve()
    other.wait("Ready", "True")
    assert httpx.get(f"http://127.0.0.1:{impatient.settings.health_port}/livez", trust_env=False, timeout=1)
    for model in (waiting, other):
        kube.delete(model.path)
