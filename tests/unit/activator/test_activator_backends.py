"""What the activator knows of replicas, counts, and takes from its command line."""

import re

import pytest
from squeeze_operator.activator.backends import LINGER_SECONDS, Backends
from squeeze_operator.activator.budget import Budget, Full, TooLarge
from squeeze_operator.activator.settings import Settings, parse_settings
from squeeze_operator.names import Key
from unit.activator.served import DIGITS, slice_of


def test_replicas_come_and_go_with_their_slices() -> None:
    backends = Backends()
    assert not backends.known(DIGITS)
    backends.deliver(slice_of("10.0.0.1", name="a"))
    backends.deliver(slice_of("10.0.0.2", name="b"))
    assert sorted(backends.ready(DIGITS)) == ["10.0.0.1", "10.0.0.2"]
    backends.deliver(slice_of(name="a"))
    assert backends.ready(DIGITS) == ("10.0.0.2",)
    for name in ("a", "b", "b"):
        backends.deliver(slice_of(name=name) | {"type": "DELETED"})
    assert not backends.known(DIGITS)
    assert backends.ready(DIGITS) == ()


def test_the_count_is_of_those_who_wait_or_came_a_moment_ago() -> None:
    now = 100.0
    backends = Backends(lambda: now)
    assert backends.held(DIGITS) == 0
    backends.note_arrival(DIGITS)
    with backends.waiting(DIGITS), backends.waiting(DIGITS):
        assert backends.held(DIGITS) == 2
        assert backends.held(Key("team", "other")) == 0
    now += LINGER_SECONDS - 0.1
    assert backends.held(DIGITS) == 1
    now += 0.1
    assert backends.held(DIGITS) == 0
    with backends.waiting(DIGITS):
        assert backends.held(DIGITS) == 1, "however long it has waited"


def test_a_budget_is_whole_again_when_its_places_are_left() -> None:
    budget = Budget(most_requests=1, most_bytes=10)
    for _ in range(2):
        with budget.place() as place:
            place.grow_to(4)
            place.grow_to(10)
            with pytest.raises(TooLarge):
                place.grow_to(11)
            with pytest.raises(Full), budget.place():
                pass


def test_one_request_has_what_the_others_leave() -> None:
    budget = Budget(most_requests=2, most_bytes=10)
    with budget.place() as first, budget.place() as second:
        first.grow_to(7)
        second.grow_to(3)
        with pytest.raises(Full):
            second.grow_to(4)


def test_settings_come_from_flags_and_the_environment() -> None:
    assert parse_settings([], {}) == Settings()
    environment = {"SQUEEZE_ACTIVATOR_HOLD_SECONDS": "20", "SQUEEZE_ACTIVATOR_NAMESPACE": "a,b"}
    chosen = parse_settings(["--most-requests=5"], environment)
    assert (chosen.hold_seconds, chosen.most_requests, chosen.namespaces) == (20.0, 5, ("a", "b"))


@pytest.mark.parametrize(
    "flag",
    ["--hold-seconds=0", "--most-bytes=-1", "--port=x", "--report-port=65536", "--port=-1", "--nonsense"],
)
def test_a_wrong_setting_ends_with_a_usage(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_settings([flag], {})
    assert re.search("usage: squeeze-activator", capsys.readouterr().err)
