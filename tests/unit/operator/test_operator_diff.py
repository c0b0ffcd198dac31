"""When a live object needs a write, and when it does not."""

from typing import Any

import pytest
from squeeze_operator.diff import covers, differs


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        ({"a": 1, "b": 2}, {"a": 1}),
        ({"a": "1"}, {"a": "1000m"}),
        ({"a": 1}, {"a": "1"}),
        ([{"name": "x", "v": 1}, {"name": "y"}], [{"name": "x", "v": 1}]),
        ([{"name": "y"}, {"name": "x"}], [{"name": "x"}, {"name": "y"}]),
        (["a", "b"], ["a", "b"]),
        ({"a": {}}, {"a": {}}),
        ({}, {}),
    ],
)
def test_more_in_the_live_object_is_no_difference(live: Any, wanted: Any) -> None:
    assert covers(live, wanted)


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        ({}, {"a": None}),
        ({"a": 2}, {"a": 1}),
        ({"a": "1Gi"}, {"a": "1G"}),
        (None, {"a": 1}),
        ("a", ["a"]),
        (["b", "a"], ["a", "b"]),
        (["a", "b", "c"], ["a", "b"]),
        ([{"name": "x", "v": 2}], [{"name": "x", "v": 1}]),
        ([], [{"name": "x"}]),
        ([{"key": "a"}, {"key": "b"}], [{"key": "a"}]),
        ({"triggers": [{"name": "latency"}, {"name": "held"}]}, {"triggers": [{"name": "held"}]}),
    ],
)
def test_what_is_missing_or_other_is_a_difference(live: Any, wanted: Any) -> None:
    assert not covers(live, wanted)


def live_with(fields: dict[str, Any], manager: str = "squeeze-operator", **entry: Any) -> dict[str, Any]:
    """A live object with one managedFields entry."""
    managed = {"manager": manager, "operation": "Apply", "fieldsV1": fields} | entry
    return {
        "metadata": {"managedFields": [managed]},
        "spec": {"a": 1, "old": 2, "list": [{"name": "x", "v": 1}, {"name": "y"}]},
    }


WANTED: dict[str, Any] = {"spec": {"a": 1, "list": [{"name": "x", "v": 1}]}}


def test_a_field_that_we_own_and_no_longer_want_is_a_difference() -> None:
    assert differs(WANTED, live_with({"f:spec": {"f:a": {}, "f:old": {}}}))
    assert differs(WANTED, live_with({"f:spec": {"f:list": {'k:{"name":"y"}': {".": {}}}}}))
    assert differs(WANTED, live_with({"f:spec": {"f:list": {'k:{"name":"x"}': {"f:w": {}}}}}))
    assert differs({"spec": {"set": ["a"]}}, live_with({"f:spec": {"f:set": {'v:"b"': {}}}}))


def test_what_others_own_is_no_difference() -> None:
    foreign: dict[str, Any] = {"f:spec": {"f:old": {}}}
    assert not differs(WANTED, live_with(foreign, manager="kubectl"))
    assert not differs(WANTED, live_with(foreign, operation="Update"))
    assert not differs(WANTED, live_with(foreign, subresource="status"))


def test_what_we_own_and_want_is_no_difference() -> None:
    item: dict[str, Any] = {".": {}, "f:name": {}, "f:v": {}}
    owned = {"f:spec": {".": {}, "f:a": {}, "f:list": {'k:{"name":"x"}': item}}}
    assert not differs(WANTED, live_with(owned))


def test_a_container_before_ours_is_a_difference_and_one_after_it_is_none() -> None:
    ours, theirs = {"name": "kserve-container"}, {"name": "mesh"}
    wanted = {"spec": {"predictor": {"containers": [ours]}}}

    def live(*containers: dict[str, str]) -> dict[str, Any]:
        return {"metadata": {}, "spec": {"predictor": {"containers": list(containers)}}}

    assert differs(wanted, live(theirs, ours))
    assert not differs(wanted, live(ours, theirs))
