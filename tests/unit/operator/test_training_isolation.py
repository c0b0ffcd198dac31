"""The NetworkPolicy of a training: its own workers, the operator, and what is elsewhere."""

from dataclasses import replace
from typing import Any

import pytest
from squeeze_operator.names import MANAGED_BY_LABEL, TRAINING_LABEL
from squeeze_operator.snapshot import NetworkRules
from squeeze_operator.training.decide import decide
from squeeze_operator.training.snapshot import TrainingSnapshot
from unit.operator.test_training_decide import ACTIVE, COMPLETE, OPTIONS, RUNNING, seen

OPERATOR = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}}}
GATEWAY = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}
HTTPS = {"ports": [{"port": 443, "protocol": "TCP"}]}
GUARDED = replace(OPTIONS, network_rules=NetworkRules((OPERATOR,), (GATEWAY,), (HTTPS,)))
WORKERS = [{"podSelector": {"matchLabels": {TRAINING_LABEL: "digits"}}}]
HERE = {"output": {"uri": "pvc://data/run"}}
CLAIMS = {"data": {"spec": {"accessModes": ["ReadWriteMany"]}}}


def policy_of(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """The one NetworkPolicy of the decision."""
    (policy,) = [wanted for wanted in decide(snapshot).objects if wanted["kind"] == "NetworkPolicy"]
    return policy


def with_policy(snapshot: TrainingSnapshot, policy: dict[str, Any]) -> TrainingSnapshot:
    """The snapshot with a live NetworkPolicy."""
    return replace(snapshot, children={**snapshot.children, "NetworkPolicy": policy})


def test_only_its_workers_and_the_operator_reach_a_worker() -> None:
    policy = policy_of(seen(options=GUARDED))
    among, asked = policy["spec"]["ingress"]
    assert among == {"from": WORKERS}, "on every port: PyTorch picks them"
    assert asked == {"from": [OPERATOR], "ports": [{"port": 8080, "protocol": "TCP"}]}
    assert [policy["spec"]["podSelector"]] == [peer["podSelector"] for peer in WORKERS]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["metadata"]["name"] == "digits-training"
    assert policy["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert policy["metadata"]["labels"][MANAGED_BY_LABEL] == "squeeze-operator", "a watch follows it"


def test_without_a_known_operator_no_rule_lets_everybody_in() -> None:
    options = replace(OPTIONS, network_rules=NetworkRules())
    assert policy_of(seen(options=options))["spec"]["ingress"] == [{"from": WORKERS}]


@pytest.mark.parametrize(
    ("spec", "remote"),
    [
        (HERE, False),
        ({}, True),
        (HERE | {"dataset": {"uri": "https://h/data.tar"}}, True),
        (HERE | {"weights": {"uri": "torchvision://squeezenet1_1"}}, True),
    ],
)
def test_a_worker_reaches_the_others_names_and_what_is_elsewhere(spec: dict[str, Any], remote: bool) -> None:
    begins = replace(seen(options=GUARDED, spec=spec), claims=CLAIMS)
    among, dns, *elsewhere = policy_of(begins)["spec"]["egress"]
    assert among == {"to": WORKERS}
    assert {port["port"] for port in dns["ports"]} == {53}
    assert elsewhere == ([HTTPS] if remote else [])


def test_it_comes_before_the_workers_and_not_before_the_training_begins() -> None:
    kinds = [wanted["kind"] for wanted in decide(seen(options=GUARDED)).objects]
    assert kinds == ["NetworkPolicy", "Service", "Job"]
    assert decide(seen(options=GUARDED, spec={"suspend": True})).objects == ()


def test_it_is_kept_as_it_should_be_while_the_job_runs() -> None:
    assert policy_of(seen(ACTIVE, RUNNING, options=GUARDED))


@pytest.mark.parametrize("job", [ACTIVE, COMPLETE], ids=["running", "complete"])
def test_switched_off_it_is_removed(job: dict[str, Any]) -> None:
    mine = policy_of(seen(options=GUARDED))
    assert decide(with_policy(seen(job), mine)).unwanted == (mine,)
    ended = with_policy(seen(job, status={"completionTime": "2026-01-01T00:00:00Z"}), mine)
    assert decide(ended).unwanted == (mine,)
    assert decide(with_policy(seen(job, options=GUARDED), mine)).unwanted == ()


def test_somebody_elses_policy_of_that_name_is_left_alone_and_stalls_nothing() -> None:
    foreign = policy_of(seen(options=GUARDED)) | {"metadata": {"name": "digits-training"}}
    for options in (OPTIONS, GUARDED):
        decision = decide(with_policy(seen(options=options), foreign))
        assert [wanted["kind"] for wanted in decision.objects] == ["Service", "Job"]
        assert decision.unwanted == ()
