"""The API server's own admission refuses; the model says so in its words, and goes on when it may."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from integration.apiserver import eventually
from integration.operator_checks import children, converged, serving, written
from integration.operator_runner import Model

Make = Callable[..., Model]
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
ROOT = {"name": "mesh", "image": "mesh:1", "securityContext": {"runAsUser": 0}}


def quota(model: Model, resource: str, hard: str) -> str:
    """The path of a ResourceQuota that is in force; no quota controller runs here that would count."""
    path = f"/api/v1/namespaces/{model.namespace}/resourcequotas"
    amounts = {"hard": {resource: hard}}
    model.kube.create(path, {"metadata": {"name": "team"}, "spec": amounts})
    used = {"used": {resource: "0"}}
    model.kube.patch(f"{path}/team/status", {"status": amounts | used})
    return f"{path}/team"


@pytest.fixture
def dead_webhook(model: Make) -> Iterator[Model]:
    """A model in whose namespace every InferenceService goes to a webhook that nobody serves."""
    digits = model()
    rule = {
        "apiGroups": ["serving.kserve.io"],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["inferenceservices"],
    }
    hook = {
        "name": "inferenceservice.example.com",
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": digits.namespace}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    digits.kube.create(WEBHOOKS, {"metadata": {"name": "dead"}, "webhooks": [hook]})
    probe = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "probe"},
        "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "i"}]}},
    }
    path = digits.kserve.service_path.rpartition("/")[0]
    eventually(
        lambda: digits.kube.http.post(f"{path}?dryRun=All", json=probe).is_error, "it is in force", timeout=60
    )
    yield digits
    digits.kube.delete(f"{WEBHOOKS}/dead")


@pytest.mark.usefixtures("operator")
def test_a_webhook_that_nobody_serves_is_told_and_needs_nobody_once_it_is_back(dead_webhook: Model) -> None:
    dead_webhook.create()
    told = dead_webhook.wait("Reconciling", "True", "ApiError")["message"]
    assert "failed calling webhook" in told
    assert dead_webhook.condition("Stalled")["status"] == "False"
    dead_webhook.kube.delete(f"{WEBHOOKS}/dead")
    converged(dead_webhook)


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    "resource",
    [
        "count/inferenceservices.serving.kserve.io",
        "count/poddisruptionbudgets.policy",
        "count/horizontalpodautoscalers.autoscaling",
    ],
)
def test_a_quota_that_has_no_room_for_a_child_is_told_in_its_own_words(model: Make, resource: str) -> None:
    digits = model()
    path = quota(digits, resource, "0")
    digits.create()
    told = digits.wait("Stalled", "True", "Rejected")["message"]
    assert "exceeded quota: team" in told
    before = written()
    digits.kube.delete(path)
    converged(digits)
    assert written() - before < 20


def replica(model: Model) -> str:
    """Makes a pod as a ReplicaSet does; what the API server says against it, or nothing."""
    try:
        model.kserve.pod("a", phase="Running")
    except httpx.HTTPStatusError as refused:
        return str(json.loads(str(refused))["message"])
    return ""


def too_little(model: Model) -> str:
    """A LimitRange below what a replica asks for."""
    path = f"/api/v1/namespaces/{model.namespace}/limitranges"
    limit = {"type": "Container", "max": {"memory": "128Mi"}}
    model.kube.create(path, {"metadata": {"name": "small"}, "spec": {"limits": [limit]}})
    return f"{path}/small"


def no_pods(model: Model) -> str:
    """A quota that is used up."""
    return quota(model, "pods", "0")


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("forbid", "words"),
    [(too_little, "maximum memory usage per Container is 128Mi"), (no_pods, "exceeded quota: team")],
)
def test_pods_that_may_not_be_are_told_with_the_words_of_the_refusal(
    model: Make, forbid: Callable[[Model], str], words: str
) -> None:
    digits = model()
    path = forbid(digits)
    digits.create()
    digits.kserve.deploy()
    message = replica(digits)
    assert words in message
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    digits.kserve.report(replicas=0, ready=0, updated=0, conditions=[refused])
    assert words in digits.wait("Stalled", "True", "PodsNotCreated")["message"]
    digits.kube.delete(path)
    eventually(lambda: replica(digits) == "", "a pod is admitted")
    converged(digits)


@pytest.mark.usefixtures("operator")
def test_replicas_pass_the_restricted_standard_and_a_sidecar_that_does_not_is_told(model: Make) -> None:
    digits = model()
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    digits.kube.patch(f"/api/v1/namespaces/{digits.namespace}", {"metadata": {"labels": enforce}})
    digits.create()
    digits.kserve.deploy()
    assert replica(digits) == ""
    digits.kube.delete(f"{digits.kserve.pods}/digits-predictor-a", gracePeriodSeconds="0")
    containers = "/spec/template/spec/containers"
    add: list[Any] = [{"op": "add", "path": f"{containers}/-", "value": ROOT}]
    digits.kube.patch(digits.kserve.deployment_path, add, kind="json")
    message = replica(digits)
    assert 'violates PodSecurity "restricted' in message
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    digits.kserve.report(replicas=1, ready=1, updated=0, conditions=[refused])
    assert "violates PodSecurity" in digits.wait("Stalled", "True", "PodsNotCreated")["message"]
    assert digits.condition("Serving")["status"] == "True", "what answers goes on"
    converged(digits)


@pytest.mark.usefixtures("operator")
def test_a_model_made_anew_under_its_name_gets_children_of_its_own_once_the_old_ones_go(model: Make) -> None:
    digits = serving(model)
    first = digits.get()["metadata"]["uid"]
    old = children(digits)
    digits.kube.delete(digits.path)
    digits.create()
    assert digits.get()["metadata"]["uid"] != first
    digits.wait("Stalled", "True", "NameTaken")
    assert children(digits) == old, "nothing of another owner is touched"
    # No garbage collector runs here.
    for plural, found in old.items():
        root = digits.kserve.service_path if plural == "inferenceservices" else found[0]["metadata"]["name"]
        paths = {
            "inferenceservices": root,
            "poddisruptionbudgets": f"/apis/policy/v1/namespaces/{digits.namespace}/{plural}/{root}",
            "horizontalpodautoscalers": f"{digits.kserve.autoscalers}/{root}",
        }
        digits.kube.delete(paths[plural])
    digits.kube.delete(digits.kserve.deployment_path)
    converged(digits)
