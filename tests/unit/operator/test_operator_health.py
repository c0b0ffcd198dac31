"""Liveness, readiness and the audit of the watch."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from squeeze_operator.audit import BOUND_SECONDS, WatchAudit
from squeeze_operator.health import (
    LOOP_BOUND_SECONDS,
    READY_GRACE_SECONDS,
    WATCHER_BOUND_SECONDS,
    WORKER_BOUND_SECONDS,
    Health,
    serve,
)
from squeeze_operator.names import INFERENCE_SERVICES, PODS, Key


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at 1000 seconds."""
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    """The health of an operator that has just synced."""
    made = Health(clock)
    made.synced_at = lambda: 1000.0
    return made


def item(uid: str, version: str) -> dict[str, Any]:
    """A listed SqueezeModel."""
    return {
        "kind": "SqueezeModel",
        "metadata": {"uid": uid, "resourceVersion": version, "namespace": "ns", "name": uid},
    }


def test_a_fresh_operator_is_alive_and_ready(health: Health) -> None:
    assert health.not_alive() is None
    assert health.not_ready() is None


def test_a_dead_part_is_named(health: Health) -> None:
    health.dead = ["worker 2"]
    assert health.not_alive() == "ended: worker 2"
    assert health.not_ready() == "ended: worker 2"


@pytest.mark.parametrize(("after", "alive"), [(LOOP_BOUND_SECONDS, True), (LOOP_BOUND_SECONDS + 1, False)])
def test_a_hung_event_loop_is_noticed(health: Health, clock: Clock, after: float, alive: bool) -> None:
    clock.now += after
    assert (health.not_alive() is None) is alive


@pytest.mark.parametrize(
    ("after", "alive"), [(WORKER_BOUND_SECONDS, True), (WORKER_BOUND_SECONDS + 1, False)]
)
def test_a_stuck_worker_is_noticed(health: Health, clock: Clock, after: float, alive: bool) -> None:
    health.busy_since = lambda: [None, 1000.0]
    clock.now += after
    health.beat()
    assert (health.not_alive() is None) is alive


@pytest.mark.parametrize(("over", "alive"), [(0, True), (1, False)])
def test_a_watcher_that_has_died_is_named(health: Health, clock: Clock, over: float, alive: bool) -> None:
    both = frozenset({"watcher for pods", "watcher for models"})
    health.beat(both)
    health.beat(frozenset({"watcher for models"}))
    clock.now += WATCHER_BOUND_SECONDS + over
    health.beat(frozenset({"watcher for models"}))
    assert health.not_alive() == (None if alive else "ended: watcher for pods")
    health.beat(both)
    assert health.not_alive() is None, "a watcher that is back is well"


def test_a_watcher_of_a_kind_that_was_removed_is_not_missed(health: Health, clock: Clock) -> None:
    pods, services = (
        "watcher for pods.v1@None",
        "watcher for inferenceservices.v1beta1.serving.kserve.io@None",
    )
    health.beat(frozenset({pods, services}))
    health.beat(frozenset({pods}))
    health.forget_watchers(INFERENCE_SERVICES)
    for _ in range(3):
        clock.now += WATCHER_BOUND_SECONDS
        health.beat(frozenset({pods}))
    assert health.not_alive() is None
    health.beat(frozenset())
    clock.now += WATCHER_BOUND_SECONDS + 1
    health.beat(frozenset())
    assert health.not_alive() == f"ended: {pods}", "others are missed as ever"


def test_a_kind_is_watched_while_each_of_its_watchers_is_alive(health: Health) -> None:
    both = frozenset({"watcher for pods.v1@team-a", "watcher for pods.v1@team-b"})
    kinds = (PODS, INFERENCE_SERVICES)
    assert health.watched(kinds) == frozenset()
    health.beat(both)
    assert health.watched(kinds) == {PODS}
    health.beat(frozenset({"watcher for pods.v1@team-a"}))
    assert health.watched(kinds) == frozenset()
    health.beat(both)
    assert health.watched(kinds) == {PODS}


@pytest.mark.parametrize("audit_seconds", [1.0, 30.0, 3600.0])
def test_an_api_server_that_is_away_takes_readiness_not_life(
    health: Health, clock: Clock, audit_seconds: float
) -> None:
    health.audit_seconds = audit_seconds
    clock.now += audit_seconds + READY_GRACE_SECONDS
    health.beat()
    assert health.not_ready() is None, "the next audit is hardly late"
    clock.now += 1
    assert health.not_alive() is None
    assert "has not answered for" in str(health.not_ready())
    health.synced_at = lambda: None
    assert "has not answered yet" in str(health.not_ready())


def test_a_silent_watch_is_noticed_by_what_the_api_server_has(clock: Clock) -> None:
    audit = WatchAudit(clock)
    audit.delivered("a", "1", gone=False)
    assert audit.compare([item("a", "1")]) == []
    assert audit.compare([item("a", "2"), item("b", "1")]) == [Key("ns", "a"), Key("ns", "b")]
    clock.now += BOUND_SECONDS + 1
    audit.compare([item("a", "3"), item("b", "1")])
    assert audit.lag() == BOUND_SECONDS + 1
    health = Health(clock)
    health.watch_lag = audit.lag
    assert "the watch has not delivered" in str(health.not_alive())


def test_a_watch_that_catches_up_owes_nothing(clock: Clock) -> None:
    audit = WatchAudit(clock)
    audit.compare([item("a", "1")])
    clock.now += 60
    audit.delivered("a", "1", gone=False)
    assert audit.lag() == 0
    assert audit.compare([item("a", "1")]) == []
    assert audit.synced_at == clock.now


def test_a_watch_that_is_ahead_of_the_list_owes_nothing_until_the_next_audit(clock: Clock) -> None:
    audit = WatchAudit(clock)
    audit.delivered("changed", "2", gone=False)
    audit.delivered("deleted", "3", gone=True)
    audit.delivered("new", "4", gone=False)
    assert audit.compare([item("changed", "1"), item("deleted", "1")]) == []
    assert audit.lag() == 0
    clock.now += 3600
    assert audit.compare([item("changed", "2"), item("new", "4")]) == []
    assert audit.lag() == 0


def test_an_idle_cluster_and_a_deleted_model_owe_nothing(clock: Clock) -> None:
    audit = WatchAudit(clock)
    audit.compare([item("a", "1")])
    audit.delivered("a", "2", gone=True)
    clock.now += 10_000
    assert audit.compare([]) == []
    assert audit.lag() == 0


@pytest.fixture
def page() -> Iterator[tuple[str, dict[str, str | None]]]:
    """The address of served health pages and what is wrong by path."""
    wrong: dict[str, str | None] = {"/livez": None}
    server = serve(0, {"/livez": lambda: wrong["/livez"]}, host="127.0.0.1")
    yield f"http://127.0.0.1:{server.server_address[1]}", wrong
    server.shutdown()
    server.server_close()


def test_the_pages_say_what_is_wrong(page: tuple[str, dict[str, str | None]]) -> None:
    url, wrong = page
    assert httpx.get(f"{url}/livez?verbose", trust_env=False).status_code == 200
    wrong["/livez"] = "ended: watcher"
    answer = httpx.get(f"{url}/livez", trust_env=False)
    assert (answer.status_code, answer.text) == (503, "ended: watcher\n")
    head = httpx.head(f"{url}/livez", trust_env=False)
    assert (head.status_code, head.content) == (503, b"")
    assert httpx.get(f"{url}/other", trust_env=False).status_code == 404
