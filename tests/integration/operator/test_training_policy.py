"""The NetworkPolicy of a training on a real API server."""

from collections.abc import Callable, Iterator

import pytest
from integration.apiserver import eventually
from integration.operator_runner import Model
from integration.training_runner import Training
from squeeze_operator.snapshot import NetworkRules

OPERATOR = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}}}
RULES = NetworkRules(operator=(OPERATOR,), weights=({"ports": [{"port": 443, "protocol": "TCP"}]},))


@pytest.fixture
def digits(model: Callable[..., Model]) -> Iterator[Training]:
    """A training with two workers, none of which runs."""
    beside = model()
    made = Training(beside.kube, beside.namespace, "digits")
    made.create(workers=2)
    yield made
    made.kube.delete(made.path)
    made.kube.delete(made.job_path, propagationPolicy="Background")


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("operator", [{"network_rules": RULES}], indirect=True)
def test_it_is_there_before_the_job_and_comes_back_when_somebody_opens_or_removes_it(
    digits: Training,
) -> None:
    path = f"/apis/networking.k8s.io/v1/namespaces/{digits.namespace}/networkpolicies/digits-training"
    digits.job()
    made = digits.kube.get(path)
    assert made["spec"]["podSelector"] == {"matchLabels": {"squeezeserve.io/training": "digits"}}
    assert made["metadata"]["ownerReferences"][0]["uid"] == digits.get()["metadata"]["uid"]
    assert [rule.get("ports", [{}])[0].get("port") for rule in made["spec"]["ingress"]] == [None, 8080]
    assert [rule.get("ports", [{}])[0].get("port") for rule in made["spec"]["egress"]] == [None, 53, 443]
    digits.kube.patch(path, {"spec": {"ingress": [{}]}})
    eventually(lambda: digits.kube.get(path)["spec"] == made["spec"], "it is set back")
    digits.kube.delete(path)
    eventually(lambda: (digits.kube.get(path) or {}).get("spec") == made["spec"], "it is there again")
