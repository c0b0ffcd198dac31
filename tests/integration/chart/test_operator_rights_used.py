"""The operator may do what it does and nothing else: the chart's rights against the API server's records."""

import json
from functools import partial
from pathlib import Path

import pytest
from integration import apiserver, keda
from integration.apiserver import OPERATOR_TOKEN, ControlPlane
from integration.chart.release import ApiServer, Helm
from integration.chart.test_operator_rights import (
    ACCOUNT,
    MODELS,
    assert_all_is_done,
    create_both,
    running_operator,
)
from unit.chart.chart_rendering import CHART
from unit.chart.test_chart_rbac import CLUSTER_ONLY, OPERATOR

Right = tuple[str, str, str]
"""API group, resource (with its subresource), verb."""

pytestmark = pytest.mark.usefixtures("kserve")

POLICIES = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies"
GUARDS = {"digits-predictor", "digits-training"}
AUTOSCALER = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/digits"
SCALED_OBJECT = "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects/digits"
GUARDED = ("--set", "predictor.networkPolicy.enabled=true")
PROMETHEUS = ("--set", "prometheus.address=http://prometheus.monitoring:9090")
SECONDS = 60.0
APPLIED = {right for right, verbs in OPERATOR.items() if {"create", "patch"} <= verbs}
"""A server-side apply is a patch that is refused without `create` where the object is not there yet."""

TABLE = {(*right, verb) for right, verbs in (OPERATOR | CLUSTER_ONLY).items() for verb in verbs}


def used_rights(plane: ControlPlane) -> set[Right]:
    """The rights that the operator's requests needed and had, by the API server's audit log."""
    found = set[Right]()
    for event in plane.audited():
        reference = event["objectRef"]
        if event.get("responseStatus", {}).get("code") == 403:
            continue
        resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
        found.add((reference.get("apiGroup", ""), resource, event["verb"]))
    return found


def rights_of_a_token(api_server: ApiServer, namespace: str) -> set[Right]:
    """All that the operator's token may do in a namespace, as the API server itself lists it."""
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    kube = api_server.plane.client(OPERATOR_TOKEN)
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    review = kube.create(path, {**body, "spec": {"namespace": namespace}})
    return {
        (group, resource, verb)
        for rule in review["status"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("namespace", ["team-a", "team-b"])
def test_a_cluster_wide_operator_may_do_what_the_table_says(
    api_server: ApiServer, helm: Helm, namespace: str
) -> None:
    anybody = rights_of_a_token(api_server, namespace)
    helm("install", "squeezeserve", str(CHART), *ACCOUNT)
    assert rights_of_a_token(api_server, namespace) - anybody == TABLE


def test_an_operator_of_one_namespace_has_no_right_elsewhere(api_server: ApiServer, helm: Helm) -> None:
    anybody = rights_of_a_token(api_server, "team-b")
    helm("install", "squeezeserve", str(CHART), *ACCOUNT, "--set", "watchNamespaces={team-b}")
    cluster = {(*right, verb) for right, verbs in CLUSTER_ONLY.items() for verb in verbs}
    assert rights_of_a_token(api_server, "team-b") - anybody == TABLE - cluster
    assert rights_of_a_token(api_server, "team-a") == anybody
    kinds = json.loads(api_server.kubectl("get", "clusterrolebindings", "-o", "json"))["items"]
    assert not [item for item in kinds if "squeezeserve" in item["metadata"]["name"]]


def test_every_right_is_used_by_an_operator_at_work(
    api_server: ApiServer, helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model is made, guarded, scaled in every way, set free and stalled: all that the operator does."""
    kube, namespace = api_server.plane.client(), "team-a"
    anybody = rights_of_a_token(api_server, namespace)
    helm("install", "squeezeserve", str(CHART), *ACCOUNT)
    # What the watches have told is asked for at a resync only.
    monkeypatch.setenv("SQUEEZE_OPERATOR_RESYNC_SECONDS", "1")
    eventually = partial(apiserver.eventually, timeout=SECONDS)
    policies, autoscaler, scaled = (path.format(namespace) for path in (POLICIES, AUTOSCALER, SCALED_OBJECT))
    model = f"{MODELS.format(namespace)}/digits"

    def guards() -> set[str]:
        return {item["metadata"]["name"] for item in kube.get(policies)["items"]}

    def scale_by(metric: str) -> None:
        kube.patch(model, {"spec": {"scaling": {"metric": metric}}})

    with keda.installed(api_server.plane):
        with running_operator(api_server.plane, tmp_path, *ACCOUNT, *GUARDED, *PROMETHEUS):
            create_both(kube, namespace)
            assert_all_is_done(kube, namespace)
            eventually(lambda: guards() == GUARDS, "NetworkPolicies")
            eventually(lambda: kube.get(autoscaler), "an autoscaler")
            scale_by("utilization")
            eventually(lambda: kube.get(scaled), "a ScaledObject")
            scale_by("none")
            eventually(lambda: kube.get(scaled) is None, "no ScaledObject")
        with running_operator(api_server.plane, tmp_path, *ACCOUNT):
            eventually(lambda: not guards(), "no NetworkPolicy")
            scale_by("utilization")
            events = f"/api/v1/namespaces/{namespace}/events"
            eventually(lambda: kube.get(events)["items"], "an Event: there is no Prometheus now")
            eventually(
                lambda: TABLE - used_rights(api_server.plane) == {(*right, "create") for right in APPLIED},
                "every right is used",
            )

    assert used_rights(api_server.plane) - anybody <= TABLE
