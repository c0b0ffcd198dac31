"""Who scales a model, and what the condition Scaling says about it."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from squeeze_operator.conditions import find
from squeeze_operator.decide import decide
from squeeze_operator.news import News
from squeeze_operator.scalehistory import ScaleHistory, reversals
from squeeze_operator.snapshot import Snapshot
from unit.operator_snapshots import ROUTED, replicas, seen, unschedulable

NOW = 1_800_000_000.0
LONG_AGO, JUST_NOW = "2027-01-15T07:00:00Z", "2027-01-15T07:59:30Z"
A_MOMENT_AHEAD, FAR_AHEAD = "2027-01-15T08:00:30Z", "2028-01-15T08:00:00Z"
KIND = "HorizontalPodAutoscaler"
CLASS = "serving.kserve.io/autoscalerClass"
ACTIVE = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}
LIMITED = {"type": "ScalingLimited", "status": "True"}


def blind(reason: str, message: str = "", since: str = LONG_AGO) -> dict[str, str]:
    """The condition of an autoscaler that computes nothing."""
    return ACTIVE | {"status": "False", "reason": reason, "message": message, "lastTransitionTime": since}


def scaled(*conditions: dict[str, str], owner: str = "u1", **rest: Any) -> Snapshot:
    """A model that serves, with its autoscaler in this state."""
    owners = [{"kind": "SqueezeModel", "uid": owner, "controller": True}]
    live = {
        "kind": KIND,
        "metadata": {"name": "digits", "namespace": "team", "uid": "u3", "ownerReferences": owners},
        "status": {"conditions": list(conditions)},
    }
    shown = {"service": ROUTED, "deployment": replicas(2)} | rest
    snapshot = seen(**shown, now=NOW)
    return replace(snapshot, children={**snapshot.children, KIND: live})


MORE: dict[str, Any] = {"deployment": replicas(2, 3), "pods": [unschedulable("3 Insufficient cpu.")]}
TABLE: list[tuple[str, Snapshot, bool, str, str]] = [
    ("fixed", seen({"scaling": {"metric": "none"}}), True, "FixedReplicas", "2 replicas"),
    ("well", scaled(ACTIVE), True, "FollowsLoad", "2 to 5 replicas, so that each uses 70 %"),
    ("not made yet", seen(service=ROUTED), False, "AutoscalerStarting", "is made once"),
    ("not looked yet", scaled(), False, "AutoscalerStarting", "has not looked"),
    (
        "KServe still scales",
        seen(service=ROUTED, kserve_autoscaler={"metadata": {}}),
        False,
        "OldAutoscalerPresent",
        "told to go",
    ),
    ("taken", scaled(ACTIVE, owner="another"), False, "NameTaken", "rename this model"),
    (
        "first minute",
        scaled(blind("FailedGetContainerResourceMetric", "none", JUST_NOW)),
        False,
        "WaitingForMetrics",
        "first metrics",
    ),
    (
        "no metrics",
        scaled(blind("FailedGetContainerResourceMetric", "no metrics from\n API")),
        False,
        "MetricsMissing",
        "no metrics from API",
    ),
    (
        "a replica without requests",
        scaled(blind("FailedGetResourceMetric", "missing request for cpu in container x of Pod p")),
        False,
        "RequestsMissing",
        "container x of Pod p",
    ),
    ("two", scaled(blind("AmbiguousSelector", "by digits and other")), False, "AnotherAutoscaler", "other"),
    ("by hand", scaled(blind("ScalingDisabled", "zero")), False, "ScaledToZero", "scale it to 1"),
    ("no room", scaled(ACTIVE, **MORE), False, "NoRoomToScale", "2 of 3 replicas answer. Unschedulable"),
    (
        "at the top",
        scaled(ACTIVE, LIMITED | {"reason": "TooManyReplicas"}),
        False,
        "AtMaxReplicas",
        "more than 5",
    ),
    ("at the bottom", scaled(ACTIVE, LIMITED | {"reason": "TooFewReplicas"}), True, "FollowsLoad", ""),
    (
        "up and down",
        replace(scaled(ACTIVE), scalings=(2, 5, 2, 5, 2)),
        False,
        "Flapping",
        "wanted 2, 5, 2, 5, 2 replicas",
    ),
    ("spec out of force", seen({"resources": {"requests": {"cpu": 0}}}), False, "Stalled", "not in force"),
]


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_the_condition_says_who_scales_and_how_well(row: tuple[str, Snapshot, bool, str, str]) -> None:
    _, snapshot, scales, reason, message = row
    said = find(decide(snapshot).status, "Scaling")
    assert (said["status"], said["reason"]) == (str(scales), reason)
    assert message in said["message"]


def test_trouble_with_scaling_takes_nothing_from_ready_and_is_announced_once() -> None:
    snapshot = scaled(blind("FailedGetContainerResourceMetric"))
    first = decide(snapshot)
    assert find(first.status, "Ready")["status"] == "True"
    assert [(a.type, a.reason) for a in first.announcements] == [
        ("Normal", "Available"),
        ("Warning", "MetricsMissing"),
    ]
    again = decide(replace(snapshot, model=dict(snapshot.model) | {"status": first.status}))
    assert again.announcements == ()


def test_what_passes_by_itself_is_looked_at_again_and_not_announced() -> None:
    decision = decide(scaled(blind("FailedGetContainerResourceMetric", since=JUST_NOW)))
    assert decision.look_again
    assert [a.reason for a in decision.announcements] == ["Available"]


# What was seen over time.


@pytest.mark.parametrize(
    ("wishes", "turns"),
    [((), 0), ((1,), 0), ((1, 2, 5), 0), ((1, 3, 1), 1), ((1, 3, 1, 3, 1), 3), ((5, 4, 3, 4), 1)],
)
def test_turns_are_counted(wishes: tuple[int, ...], turns: int) -> None:
    assert reversals(wishes) == turns


def test_wishes_are_remembered_for_half_an_hour_and_only_of_models_that_are_there() -> None:
    time = [0.0]
    history = ScaleHistory(lambda: time[0])

    def wish(number: int | None) -> tuple[int, ...]:
        return history.note("u1", {"status": {"desiredReplicas": number}})

    assert wish(None) == ()
    assert wish(1) == (1,)
    assert wish(1) == (1,)
    time[0] = 1000.0
    assert wish(3) == (1, 3)
    time[0] = 2000.0
    assert wish(3) == (3,)
    history.forget_except(frozenset({"u1"}))
    assert wish(2) == (3, 2)
    history.forget_except(frozenset())
    assert wish(2) == (2,)


def test_a_measurement_is_no_news_and_every_other_change_is() -> None:
    news = News()
    measured = {"currentMetrics": [{"value": 1}], "desiredReplicas": 1, "conditions": [ACTIVE]}
    live: dict[str, Any] = {"metadata": {"uid": "u"}, "spec": {"minReplicas": 1}, "status": measured}

    def worth(kind: str = "MODIFIED", **changed: Any) -> bool:
        return news.worth({"type": kind, "object": copy.deepcopy(live | changed)})

    assert worth("ADDED")
    assert not worth()
    assert not worth(status=measured | {"currentMetrics": [{"value": 2}]})
    assert not worth(status=measured | {"conditions": [ACTIVE | {"message": "other words"}]})
    assert worth(status=measured | {"conditions": [blind("FailedGetResourceMetric")]})
    assert worth(status=measured | {"desiredReplicas": 2})
    assert worth(spec={"minReplicas": 2})
    assert worth(metadata={"uid": "u", "labels": {"a": "b"}})
    assert worth()
    assert not worth(status=measured | {"progress": {"iteration": 9}, "summary": "9/10 (90 %)"})
    assert worth("DELETED")
    assert worth("ADDED")


@pytest.mark.parametrize(
    ("since", "reason"), [(A_MOMENT_AHEAD, "WaitingForMetrics"), (FAR_AHEAD, "MetricsMissing")]
)
def test_a_clock_that_was_set_back_makes_nothing_wait_for_ever(since: str, reason: str) -> None:
    decision = decide(scaled(blind("FailedGetContainerResourceMetric", since=since)))
    assert decision.status is not None
    scaling = next(c for c in decision.status["conditions"] if c["type"] == "Scaling")
    assert scaling["reason"] == reason
