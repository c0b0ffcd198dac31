"""Who scales a model: one autoscaler at a time, the old one gone before the next comes."""

import copy
import itertools
from dataclasses import replace
from typing import Any

import pytest
from squeeze_operator.conditions import find
from squeeze_operator.decide import decide
from squeeze_operator.decision import Decision
from squeeze_operator.snapshot import Snapshot
from unit.operator_snapshots import OPTIONS, ROUTED, replicas, seen

NOW = 1_800_000_000.0
LONG_AGO, JUST_NOW = "2027-01-15T07:00:00Z", "2027-01-15T07:59:40Z"
AUTOSCALER, SCALED_OBJECT = "HorizontalPodAutoscaler", "ScaledObject"
CLASS = "serving.kserve.io/autoscalerClass"
KEDA_OPTIONS = replace(OPTIONS, prometheus_address="http://prometheus.monitoring:9090")
ACTIVE = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}
OURS = {"kind": "SqueezeModel", "name": "digits", "uid": "u1", "controller": True}
KEDAS = {"kind": SCALED_OBJECT, "name": "digits", "uid": "so", "controller": True}
SPECS: dict[str, dict[str, Any]] = {
    "cpu": {"metric": "cpu"},
    "utilization": {"metric": "utilization"},
    "latency": {"metric": "latency", "target": 250},
    "none": {"metric": "none"},
}


def live(kind: str, owner: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """An autoscaler or a ScaledObject of the model's name."""
    owners = [owner] if owner else []
    known = {"name": "digits", "namespace": "team", "uid": kind, "ownerReferences": owners}
    known["creationTimestamp"] = LONG_AGO
    return {"kind": kind, "metadata": known | metadata, "status": {"conditions": [ACTIVE]}}


def world(metric: str, *children: dict[str, Any], **rest: Any) -> Snapshot:
    """A model that serves and wants this metric, on a cluster with KEDA, among these autoscalers."""
    shown: dict[str, Any] = {"service": ROUTED, "deployment": replicas(2), "keda_installed": True} | rest
    snapshot = seen({"scaling": SPECS[metric]}, now=NOW, **shown)
    found = {**snapshot.children, **{child["kind"]: child for child in children}}
    return replace(snapshot, options=KEDA_OPTIONS, children=found)


def kinds(decision: Decision) -> set[str]:
    """The kinds of autoscalers to apply."""
    return {wanted["kind"] for wanted in decision.objects} & {AUTOSCALER, SCALED_OBJECT}


def gone(decision: Decision) -> list[str]:
    """The kinds to delete."""
    return [unwanted["kind"] for unwanted in decision.unwanted]


OUR_HPA, KEDA_HPA, FOREIGN_HPA = live(AUTOSCALER, OURS), live(AUTOSCALER, KEDAS), live(AUTOSCALER)
OBJECT, FOREIGN_OBJECT = live(SCALED_OBJECT, OURS), live(SCALED_OBJECT)
ENDING = live(SCALED_OBJECT, OURS, deletionTimestamp=LONG_AGO)
# What is wanted, what is there, what is applied, what is deleted, and what the condition Scaling says.
TABLE: list[tuple[str, tuple[dict[str, Any], ...], set[str], list[str], str]] = [
    ("cpu", (), {AUTOSCALER}, [], "AutoscalerStarting"),
    ("cpu", (OUR_HPA,), {AUTOSCALER}, [], "FollowsLoad"),
    ("cpu", (FOREIGN_HPA,), set(), [], "NameTaken"),
    ("cpu", (FOREIGN_OBJECT,), {AUTOSCALER}, [], "AutoscalerStarting"),
    ("cpu", (OBJECT,), set(), [SCALED_OBJECT], "OldAutoscalerPresent"),
    ("cpu", (OBJECT, KEDA_HPA), set(), [SCALED_OBJECT], "OldAutoscalerPresent"),
    ("cpu", (ENDING, KEDA_HPA), set(), [AUTOSCALER], "OldAutoscalerPresent"),
    ("cpu", (KEDA_HPA,), set(), [AUTOSCALER], "OldAutoscalerPresent"),
    ("cpu", (ENDING,), {AUTOSCALER}, [], "AutoscalerStarting"),
    ("cpu", (ENDING, OUR_HPA), {AUTOSCALER}, [], "FollowsLoad"),
    ("none", (OUR_HPA,), set(), [AUTOSCALER], "FixedReplicas"),
    ("none", (OBJECT, KEDA_HPA), set(), [SCALED_OBJECT], "FixedReplicas"),
    ("none", (KEDA_HPA,), set(), [AUTOSCALER], "FixedReplicas"),
    ("none", (FOREIGN_HPA, FOREIGN_OBJECT), set(), [], "FixedReplicas"),
    ("utilization", (), {SCALED_OBJECT}, [], "AutoscalerStarting"),
    ("utilization", (OUR_HPA,), set(), [AUTOSCALER], "OldAutoscalerPresent"),
    ("utilization", (FOREIGN_HPA,), set(), [], "NameTaken"),
    ("utilization", (FOREIGN_OBJECT,), set(), [], "NameTaken"),
    ("latency", (OBJECT, KEDA_HPA), {SCALED_OBJECT}, [], "FollowsLoad"),
    ("latency", (OBJECT,), {SCALED_OBJECT}, [], "KedaNotActing"),
    ("latency", (ENDING,), set(), [], "OldAutoscalerPresent"),
    ("latency", (ENDING, KEDA_HPA), set(), [], "OldAutoscalerPresent"),
    ("latency", (KEDA_HPA,), set(), [AUTOSCALER], "OldAutoscalerPresent"),
]


@pytest.mark.parametrize("row", TABLE, ids=[f"{row[0]}-{row[4]}-{n}" for n, row in enumerate(TABLE)])
def test_the_old_one_goes_before_the_next_comes(
    row: tuple[str, tuple[dict[str, Any], ...], set[str], list[str], str],
) -> None:
    metric, children, applied, deleted, reason = row
    decision = decide(world(metric, *children))
    assert (kinds(decision), gone(decision)) == (applied, deleted)
    assert find(decision.status, "Scaling")["reason"] == reason
    assert find(decision.status, "Ready")["status"] == "True"
    assert decision.look_again or find(decision.status, "Scaling")["status"] == "True" or not deleted


@pytest.mark.parametrize("way", list(itertools.permutations(SPECS, 2)), ids="-".join)
@pytest.mark.parametrize("keda_runs", [True, False], ids=["KEDA runs", "KEDA is down"])
def test_every_change_of_metric_ends_with_one_autoscaler(way: tuple[str, str], keda_runs: bool) -> None:
    there: dict[str, dict[str, Any]] = {}
    settle(there, way[0], keda_runs=True)
    settle(there, way[1], keda_runs)
    by_keda = way[1] in ("utilization", "latency")
    if by_keda:
        assert SCALED_OBJECT in there
        assert not there[SCALED_OBJECT]["metadata"].get("deletionTimestamp")
        assert (AUTOSCALER in there) == (keda_runs or way[0] in ("utilization", "latency"))
    else:
        assert not keda_runs or SCALED_OBJECT not in there
        assert (AUTOSCALER in there) == (way[1] == "cpu")


def settle(there: dict[str, dict[str, Any]], metric: str, keda_runs: bool) -> None:
    """Plays the API server and KEDA for as long as the operator wants something else than is there."""
    for _ in range(10):
        decision = decide(world(metric, *there.values()))
        before = copy.deepcopy(there)
        for unwanted in decision.unwanted:
            delete(there, unwanted["kind"])
        for kind in kinds(decision) - set(there):
            there[kind] = live(kind, OURS)
        if keda_runs:
            play_keda(there)
        assert not two_scale(there)
        if there == before:
            return
    raise AssertionError("it never settles")


def delete(there: dict[str, dict[str, Any]], kind: str) -> None:
    """A ScaledObject has KEDA's finalizer."""
    if kind == SCALED_OBJECT:
        there[kind] = ENDING
    else:
        del there[kind]


def play_keda(there: dict[str, dict[str, Any]]) -> None:
    """Makes the autoscaler of a ScaledObject, or lets go of one that has been deleted."""
    found = there.get(SCALED_OBJECT)
    if found is not None and found["metadata"].get("deletionTimestamp"):
        del there[SCALED_OBJECT]
    elif found is not None:
        there.setdefault(AUTOSCALER, live(AUTOSCALER, KEDAS))


def two_scale(there: dict[str, dict[str, Any]]) -> bool:
    """Whether the operator's autoscaler is there beside a ScaledObject that KEDA acts on."""
    ours = there.get(AUTOSCALER, KEDA_HPA)["metadata"]["ownerReferences"] == [OURS]
    return ours and SCALED_OBJECT in there and there[SCALED_OBJECT] != ENDING


def test_keda_is_given_time_and_its_own_words_are_passed_on() -> None:
    new = live(SCALED_OBJECT, OURS, creationTimestamp=JUST_NOW)
    said = find(decide(world("utilization", new)).status, "Scaling")
    assert said["reason"] == "AutoscalerStarting"
    late = find(decide(world("utilization", OBJECT)).status, "Scaling")
    assert "is keda-operator running?" in late["message"]
    refusal = {"type": "Ready", "status": "False", "message": "no such trigger"}
    refused = {**new, "status": {"conditions": [refusal]}}
    said = find(decide(world("utilization", refused)).status, "Scaling")
    assert (said["reason"], "no such trigger" in said["message"]) == ("KedaNotActing", True)
    paused = {**new, "status": {"conditions": [{"type": "Paused", "status": "True"}]}}
    said = find(decide(world("utilization", paused)).status, "Scaling")
    assert (said["reason"], "is paused" in said["message"]) == ("KedaNotActing", True)


@pytest.mark.parametrize(
    ("metric", "words"),
    [("utilization", "each is asked for 70 % of the pictures"), ("latency", "answered within 250 ms")],
)
def test_the_condition_says_what_the_number_follows(metric: str, words: str) -> None:
    said = find(decide(world(metric, OBJECT, KEDA_HPA)).status, "Scaling")
    assert words in said["message"]


def test_a_number_that_is_missing_names_what_may_be_missing() -> None:
    blind = ACTIVE | {"status": "False", "reason": "FailedGetExternalMetric", "message": "no answer"}
    silent = {**KEDA_HPA, "status": {"conditions": [blind | {"lastTransitionTime": LONG_AGO}]}}
    said = find(decide(world("latency", OBJECT, silent)).status, "Scaling")
    assert said["reason"] == "MetricsMissing"
    assert "are KEDA and Prometheus running" in said["message"]
    assert "no answer" in said["message"]


@pytest.mark.parametrize("metric", ["utilization", "latency"])
@pytest.mark.parametrize("missing", ["KEDA", "Prometheus"])
def test_where_keda_or_prometheus_is_missing_everything_stays_as_it_is(metric: str, missing: str) -> None:
    snapshot = world(metric, OUR_HPA)
    without: dict[str, Any] = {"keda_installed": False} if missing == "KEDA" else {"options": OPTIONS}
    decision = decide(replace(snapshot, **without))
    assert (decision.objects, decision.unwanted) == ((), ())
    assert find(decision.status, "Serving")["status"] == "True"
    assert find(decision.status, "Stalled")["status"] == "True"


def with_class(snapshot: Snapshot, service: str, deployment: str | None = None) -> Snapshot:
    """The snapshot with KServe's autoscaler class on the InferenceService and on the Deployment."""
    made = copy.deepcopy(dict(snapshot.children["InferenceService"]))
    made["metadata"]["annotations"] = {CLASS: service}
    shown = None
    if deployment is not None and snapshot.deployment is not None:
        metadata = snapshot.deployment["metadata"] | {"annotations": {CLASS: deployment}}
        shown = {**snapshot.deployment, "metadata": metadata}
    return replace(snapshot, children={**snapshot.children, "InferenceService": made}, deployment=shown)


@pytest.mark.parametrize("metric", ["cpu", "utilization"])
@pytest.mark.parametrize(
    ("service", "deployment", "wanted"),
    [
        ("external", None, True),
        ("external", "external", True),
        ("external", "hpa", False),
        ("external", "none", False),
        ("hpa", "hpa", False),
        ("none", "none", False),
    ],
)
def test_our_autoscaler_waits_until_kserve_has_let_go(
    metric: str, service: str, deployment: str | None, wanted: bool
) -> None:
    assert bool(kinds(decide(with_class(world(metric), service, deployment)))) is wanted


def test_our_autoscaler_waits_until_kserves_is_gone() -> None:
    snapshot = with_class(world("cpu"), "external", "external")
    old = replace(snapshot, kserve_autoscaler={"metadata": {"name": "digits-predictor"}})
    assert kinds(decide(old)) == set()
    assert kinds(decide(snapshot)) == {AUTOSCALER}


def test_a_foreign_autoscaler_stops_nothing_else() -> None:
    applied = [wanted["kind"] for wanted in decide(world("cpu", FOREIGN_HPA)).objects]
    assert applied == ["InferenceService", "PodDisruptionBudget"]
