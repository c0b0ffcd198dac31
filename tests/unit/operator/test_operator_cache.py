"""The cache of what the watches delivered, and of what the API server said is not there.

Never older than it must be, and never the last word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from squeeze_operator.api import KindMissing
from squeeze_operator.cache import Reads, WatchCache, slim
from squeeze_operator.names import (
    AUTOSCALERS,
    FIELD_MANAGER,
    INFERENCE_SERVICES,
    MODEL_LABEL,
    PODS,
    SERVICES,
    Key,
    Resource,
)

KEY = Key("team", "digits")
WATCHED = (INFERENCE_SERVICES, PODS)
Json = dict[str, Any]


def service(version: int, name: str = "digits") -> Json:
    labels = {MODEL_LABEL: name}
    metadata = {"namespace": "team", "name": name, "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata, "v": version}


def pod(name: str, version: int) -> Json:
    labels = {"squeezeserve.io/model": "digits", "app": "isvc.digits-predictor"}
    metadata = {"namespace": "team", "name": name, "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata}


def deliver(cache: WatchCache, kind: str | None, live: Json, resource: Resource = INFERENCE_SERVICES) -> None:
    cache.deliver(resource, {"type": kind, "object": live})


class Server:
    """An API server that holds what it is given, and counts what it is asked."""

    def __init__(
        self,
        held: Json | None = None,
        pods: list[Json] | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self.held, self.pods, self.asked = held, pods or [], 0
        self.serves = True
        self.meanwhile = meanwhile
        """What happens between the question and the answer."""

    async def get(self, resource: Resource, _namespace: str, _name: str) -> Json | None:
        self.asked += 1
        self.meanwhile()
        if not self.serves:
            raise KindMissing(404, resource.kind)
        return self.held

    async def list(self, _resource: Resource, _namespace: str, _labels: str) -> list[Json]:
        self.asked += 1
        return self.pods


def made(namespace: str | None = None) -> WatchCache:
    """A cache of watches that have told of all there is, in a namespace or everywhere."""
    cache = WatchCache()
    for resource in WATCHED:
        cache.absences.list_ended(resource, namespace)
    return cache


def reads(cache: WatchCache, server: Server, live: bool = False) -> Reads:
    return Reads(server, cache, KEY, live)  # type: ignore[arg-type]


async def look(cache: WatchCache, server: Server, live: bool = False) -> Json | None:
    return await reads(cache, server, live).get(INFERENCE_SERVICES, KEY.namespace, KEY.name)


async def pods(cache: WatchCache, server: Server, live: bool = False) -> list[str]:
    return [found["metadata"]["name"] for found in await reads(cache, server, live).pods(KEY)]


async def test_what_a_watch_delivered_costs_no_request() -> None:
    cache, server = WatchCache(), Server()
    deliver(cache, "ADDED", service(1))
    assert await look(cache, server) == service(1)
    assert server.asked == 0


async def test_an_object_that_a_live_look_finds_is_kept_where_it_is_newer_than_all_that_was_told() -> None:
    cache, server = made(), Server(service(5))
    deliver(cache, "ADDED", service(1))
    deliver(cache, "DELETED", service(4))
    assert await look(cache, server) is None
    assert await look(cache, server, live=True) == service(5)
    assert await look(cache, server) == service(5)
    assert server.asked == 1


async def test_an_object_that_no_watch_tells_of_is_asked_for_until_it_has_gone() -> None:
    cache, server = made(), Server(service(5))
    deliver(cache, "ADDED", service(9, "other"))
    assert await look(cache, server, live=True) == service(5)
    assert await look(cache, server) == service(5)
    assert server.asked == 2
    server.held = None
    for _ in range(3):
        assert await look(cache, server) is None
    assert server.asked == 3


async def test_a_live_look_asks_and_corrects_what_a_silent_watch_has_left() -> None:
    cache = WatchCache()
    deliver(cache, "ADDED", service(1))
    assert await look(cache, Server(service(7)), live=True) == service(7)
    assert cache.get(INFERENCE_SERVICES, KEY) == service(7)
    assert await look(cache, Server(None), live=True) is None
    assert cache.get(INFERENCE_SERVICES, KEY) is None


async def test_a_strangers_object_is_asked_for_at_every_look() -> None:
    cache, server = made(), Server(service(5))
    assert server.held is not None
    server.held["metadata"].pop("labels")
    assert await look(cache, server, live=True) == server.held
    server.held = None
    assert await look(cache, server) is None, "it has gone, of which no watch has told"


@pytest.mark.parametrize(("namespace", "asked"), [(None, 0), ("team", 0), ("other", 1)])
async def test_that_an_object_is_not_there_is_believed_where_its_watch_has_told_of_all(
    namespace: str | None, asked: int
) -> None:
    cache, server = made(namespace), Server()
    assert await look(cache, server) is None
    assert server.asked == asked
    assert await look(cache, server, live=True) is None
    assert server.asked == asked + 1, "a live look asks"


def told(cache: WatchCache) -> None:
    deliver(cache, "ADDED", service(5))


def listed(cache: WatchCache) -> None:
    deliver(cache, None, service(5))


def written(cache: WatchCache) -> None:
    cache.offer(INFERENCE_SERVICES, service(5), KEY)


def written_before_a_later_event(cache: WatchCache) -> None:
    deliver(cache, "ADDED", service(9, "other"))
    cache.offer(INFERENCE_SERVICES, service(5), KEY)


@pytest.mark.parametrize("appear", [told, listed, written, written_before_a_later_event])
async def test_an_object_that_appears_is_no_longer_absent(appear: Callable[[WatchCache], None]) -> None:
    cache = made()
    assert await look(cache, Server()) is None
    appear(cache)
    assert await look(cache, Server(service(5))) == service(5)


async def test_what_the_operator_deletes_itself_is_asked_for() -> None:
    cache, server = made(), Server(service(1))
    cache.forget(INFERENCE_SERVICES, KEY)
    cache.absences.doubt(INFERENCE_SERVICES, KEY, KEY)
    assert await look(cache, server) == service(1), "a finalizer keeps it"


async def test_an_event_between_question_and_answer_wins() -> None:
    cache = made()
    server = Server(meanwhile=lambda: told(cache))
    assert await look(cache, server, live=True) is None
    assert await look(cache, Server()) == service(5)


async def test_without_a_living_watcher_every_look_asks() -> None:
    cache, server = WatchCache(), Server()
    for _ in range(2):
        assert await look(cache, server) is None
    assert server.asked == 2
    cache.absences.list_ended(INFERENCE_SERVICES, None)
    cache.absences.watched(frozenset(WATCHED))
    assert await look(cache, server) is None
    assert server.asked == 2
    cache.absences.watched(frozenset({PODS}))
    server.held = service(1)
    assert await look(cache, server) == service(1), "it came while nobody watched"


async def test_a_kind_that_is_not_served_costs_no_request() -> None:
    cache, server = made(), Server(service(1))
    server.serves = False
    cache.note_kind(INFERENCE_SERVICES, served=False)
    with pytest.raises(KindMissing):
        await look(cache, server)
    assert server.asked == 0
    with pytest.raises(KindMissing):
        await look(cache, server, live=True)
    assert server.asked == 1
    server.serves = True
    assert await look(cache, server, live=True) == service(1), "it has come"
    assert await look(cache, server) == service(1)
    assert server.asked == 2


async def test_a_kind_that_the_audit_finds_is_asked_for() -> None:
    cache = made()
    cache.note_kind(INFERENCE_SERVICES, served=False)
    cache.note_kind(INFERENCE_SERVICES, served=True)
    assert await look(cache, Server(service(1))) == service(1)


async def test_doubts_of_owners_that_are_gone_are_forgotten() -> None:
    cache = made()
    cache.absences.doubt(INFERENCE_SERVICES, KEY, KEY)
    cache.absences.forget_except({KEY})
    assert not cache.absences.believes(INFERENCE_SERVICES, KEY)
    cache.absences.forget_except(set())
    assert cache.absences.believes(INFERENCE_SERVICES, KEY)


@pytest.mark.parametrize(
    ("kind", "version", "news"),
    [("MODIFIED", 5, False), ("MODIFIED", 4, False), ("MODIFIED", 6, True), ("DELETED", 5, True)],
)
def test_the_echo_of_a_write_is_no_news(kind: str, version: int, news: bool) -> None:
    cache = made()
    cache.offer(INFERENCE_SERVICES, service(5), KEY)
    assert cache.deliver(INFERENCE_SERVICES, {"type": kind, "object": service(version)}) is news


def test_an_answer_does_not_bring_back_what_the_watch_has_seen_go() -> None:
    cache = WatchCache()
    deliver(cache, "ADDED", service(1))
    deliver(cache, "DELETED", service(3))
    cache.offer(INFERENCE_SERVICES, service(2), KEY)
    assert cache.get(INFERENCE_SERVICES, KEY) is None


@pytest.mark.parametrize(("kind", "kept"), [("MODIFIED", 4), ("ADDED", 4), ("DELETED", 4), (None, 2)])
def test_only_a_list_is_believed_where_it_is_older(kind: str | None, kept: int) -> None:
    cache = WatchCache()
    cache.offer(INFERENCE_SERVICES, service(4), KEY)
    deliver(cache, kind, service(2))
    assert cache.get(INFERENCE_SERVICES, KEY) == service(kept)


def test_kinds_do_not_mix_and_a_kind_that_is_gone_leaves_nothing() -> None:
    cache = WatchCache()
    deliver(cache, "ADDED", service(1))
    deliver(cache, "ADDED", service(2), AUTOSCALERS)
    cache.note_kind(INFERENCE_SERVICES, served=False)
    assert cache.get(INFERENCE_SERVICES, KEY) is None
    assert cache.get(AUTOSCALERS, KEY) == service(2)


async def test_pods_come_and_go_with_their_events() -> None:
    cache, server = made(), Server()
    deliver(cache, "ADDED", pod("a", 1), PODS)
    deliver(cache, "ADDED", pod("b", 2), PODS)
    assert await pods(cache, server) == ["a", "b"]
    deliver(cache, "DELETED", pod("a", 3), PODS)
    assert await pods(cache, server) == ["b"]
    assert server.asked == 0
    deliver(cache, "DELETED", pod("b", 4), PODS)
    assert await pods(cache, server) == []
    assert server.asked == 0
    server.pods = [pod("c", 3)]
    assert await pods(cache, server, live=True) == ["c"]
    assert await pods(cache, server) == ["c"], "pods that no watch tells of are asked for"
    assert server.asked == 2
    deliver(cache, "ADDED", pod("d", 5), PODS)
    assert await pods(cache, server) == ["d"]
    assert server.asked == 2


async def test_a_live_look_drops_pods_whose_end_no_watch_told() -> None:
    cache = WatchCache()
    deliver(cache, "ADDED", pod("a", 1), PODS)
    deliver(cache, "ADDED", pod("b", 2), PODS)
    assert await pods(cache, Server(pods=[pod("b", 2)]), live=True) == ["b"]
    assert await pods(cache, Server()) == ["b"]


def test_what_is_kept_is_what_the_operator_looks_at() -> None:
    ours, theirs = {"manager": FIELD_MANAGER, "fieldsV1": {"f:spec": {}}}, {"manager": "kubectl"}
    metadata = {"name": "digits", "managedFields": [theirs, ours]}
    live = {"metadata": metadata, "spec": {"list": [{"a": 1}]}}
    assert slim(live) == {
        "metadata": {"name": "digits", "managedFields": [ours]},
        "spec": {"list": [{"a": 1}]},
    }
    assert metadata["managedFields"] == [theirs, ours], "the original is left alone"
    assert slim({"metadata": {"managedFields": [theirs]}}) == {"metadata": {}}


async def test_a_kind_without_a_watch_is_asked_for_each_time() -> None:
    cache, server = WatchCache(), Server(service(5))
    for _ in range(2):
        assert await reads(cache, server).get(SERVICES, KEY.namespace, KEY.name) == service(5)
    assert server.asked == 2
    assert cache.get(SERVICES, KEY) is None
