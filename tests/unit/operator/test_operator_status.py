"""What a decision leaves alone, keeps, passes on and announces."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from squeeze_operator.conditions import find, with_times
from squeeze_operator.decide import decide
from squeeze_operator.decision import Announcement
from squeeze_operator.snapshot import ApplyError, Served
from unit.operator_snapshots import ROUTED, ended, replicas, seen, starting

SERVING = replicas(1)
GOOD = seen(service=ROUTED, deployment=SERVING)


@pytest.mark.parametrize("reason", ["WeightsNotFound", "DigestMismatch", "ConfigInvalid"])
def test_the_predictors_own_reasons_are_passed_on(reason: str) -> None:
    status = decide(starting(ended(f"{reason}: see here."))).status
    assert find(status, "Stalled")["reason"] == reason
    assert find(status, "Stalled")["message"].startswith("see here.")


def test_a_ready_pod_that_once_crashed_is_no_fault() -> None:
    pod = ended("WeightsInvalid: x")
    pod["status"]["containerStatuses"][0]["ready"] = True
    status = decide(seen(service=ROUTED, deployment=SERVING, pods=[pod])).status
    assert find(status, "Ready")["reason"] == "Available"


def test_a_pod_that_is_leaving_or_of_the_old_spec_is_no_fault() -> None:
    leaving = ended("WeightsInvalid: x") | {"metadata": {"deletionTimestamp": "now"}}
    status = decide(starting(leaving)).status
    assert find(status, "Stalled")["status"] == "False"
    fault = ended("WeightsInvalid: x")
    old = seen(None, replicas(0, 1), [fault], [], deployed={"image": "old"})
    assert find(decide(old).status, "Stalled")["status"] == "False"


def test_a_foreign_service_is_left_alone() -> None:
    snapshot = seen(service=ROUTED, deployment=SERVING)
    foreign = copy.deepcopy(dict(snapshot.children["InferenceService"]))
    foreign["metadata"]["ownerReferences"][0]["uid"] = "another"
    decision = decide(replace(snapshot, children={"InferenceService": foreign}))
    assert decision.objects == ()
    assert find(decision.status, "Stalled")["reason"] == "NameTaken"
    assert decision.status is not None
    assert "url" not in decision.status
    assert decision.look_again


def test_a_foreign_disruption_budget_is_left_alone_and_nothing_else() -> None:
    budget = {"metadata": {"name": "digits-predictor"}}
    decision = decide(replace(seen(), children={"PodDisruptionBudget": budget}))
    assert [wanted["kind"] for wanted in decision.objects] == ["InferenceService"]


def test_the_values_in_force_are_shown_and_kept_while_a_spec_cannot_be_served() -> None:
    status = decide(seen({"profile": "cost", "batching": {"queueSize": 7}})).status
    assert status is not None
    assert status["effective"] == {
        "profile": "cost",
        "minReplicas": 1,
        "maxReplicas": 2,
        "metric": "cpu",
        "target": 85,
        "behavior": {
            "scaleUp": {
                "stabilizationWindowSeconds": 120,
                "selectPolicy": "Max",
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
            },
            "scaleDown": {
                "stabilizationWindowSeconds": 600,
                "selectPolicy": "Max",
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
            },
        },
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"cpu": "1", "memory": "1536Mi"},
        },
        "gpus": 0,
        "spread": "pack",
        "maxUnavailable": "50%",
        "streams": 0,
        "batchSize": 0,
        "queueSize": 7,
        "allowDowntime": False,
    }
    broken = decide(seen({"resources": {"requests": {"cpu": 0}}}, status=status)).status
    assert broken is not None
    assert broken["effective"] == status["effective"]


def test_a_fixed_number_of_replicas_has_neither_target_nor_behavior_in_force() -> None:
    status = decide(seen({"scaling": {"metric": "none", "minReplicas": 3, "maxReplicas": 9}})).status
    assert status is not None
    shown = status["effective"]
    assert (shown["minReplicas"], shown["maxReplicas"]) == (3, 3)
    assert not {"target", "behavior"} & set(shown)


def test_a_model_that_is_being_deleted_gets_nothing() -> None:
    snapshot = seen()
    snapshot.model["metadata"]["deletionTimestamp"] = "now"
    decision = decide(snapshot)
    assert (decision.objects, decision.status, decision.announcements) == ((), None, ())


def test_a_failed_write_takes_nothing_away_from_replicas_that_answer() -> None:
    error = ApplyError("HTTP 503", rejected=False)
    status = decide(seen(service=ROUTED, deployment=SERVING, apply_error=error)).status
    assert find(status, "Ready")["status"] == "True"
    assert find(status, "Reconciling")["reason"] == "ApiError"


def test_url_host_address_and_counts() -> None:
    served = Served("sha256:1", "cpu", "torch")
    status = decide(seen(service=ROUTED, deployment=replicas(2, 3), served=served)).status
    assert status is not None
    assert {key: status[key] for key in status if key not in ("conditions", "effective")} == {
        "observedGeneration": 3,
        "url": "http://digits-team.localhost",
        "host": "digits-team.localhost",
        "address": "http://digits.team.svc",
        "replicas": 3,
        "readyReplicas": 2,
        "weights": {"digest": "sha256:1"},
        "device": "cpu",
        "engine": "torch",
    }


def test_what_replicas_said_is_kept_while_one_answers() -> None:
    before = {"weights": {"digest": "sha256:1"}, "device": "cpu", "engine": "torch"}
    kept = decide(seen(service=ROUTED, deployment=SERVING, status=before)).status
    assert kept is not None
    assert kept["weights"] == {"digest": "sha256:1"}
    gone = decide(seen(service=ROUTED, deployment=replicas(0, 1), status=before)).status
    assert gone is not None
    assert not {"weights", "device", "engine"} & set(gone)


def test_a_change_is_announced_once() -> None:
    first = decide(seen(kserve_installed=False))
    assert first.announcements == (Announcement("Warning", "KServeMissing", first.announcements[0].message),)
    again = decide(seen(kserve_installed=False, status=first.status))
    assert again.announcements == ()
    ready = decide(seen(service=ROUTED, deployment=SERVING, status=first.status))
    assert [(a.type, a.reason) for a in ready.announcements] == [("Normal", "Available")]
    more = decide(seen(service=ROUTED, deployment=replicas(2), status=ready.status))
    assert more.announcements == ()


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    old = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "t0"}]}
    assert with_times([{"type": "Ready", "status": "True"}], old, "t1")[0]["lastTransitionTime"] == "t0"
    assert with_times([{"type": "Ready", "status": "False"}], old, "t1")[0]["lastTransitionTime"] == "t1"
    assert with_times([{"type": "Ready", "status": "True"}], None, "t1")[0]["lastTransitionTime"] == "t1"


@pytest.mark.parametrize("spec", [None, {}, {"weights": 3}, {"weights": {"uri": []}, "scaling": []}])
def test_whatever_is_stored_gives_a_decision(spec: Any) -> None:
    snapshot = seen()
    model = dict(snapshot.model) | {"spec": spec}
    model.pop("status")
    assert decide(replace(snapshot, model=model)).status is not None
