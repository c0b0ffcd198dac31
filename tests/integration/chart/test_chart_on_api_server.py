"""The chart against a real API server: validation, Pod Security, rights, and the life of a release.

No node runs here, so no pod does; tests/e2e runs the operator.
"""

import json

import pytest
from integration.chart.release import CRD, TRAINING_CRD, ApiServer, Helm
from unit.chart.chart_rendering import CHART, NAMESPACE, ROOT, SCENARIOS, of_kind, pod_specs, scenario

MODEL = {
    "apiVersion": "squeezeserve.io/v1alpha1",
    "kind": "SqueezeModel",
    "metadata": {"name": "digits", "namespace": "default"},
    "spec": {"weights": {"uri": "builtin://digits"}},
}


def uid(api_server: ApiServer, *what: str) -> str:
    return api_server.kubectl("get", *what, "-o", "jsonpath={.metadata.uid}")


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "monitoring"])
def test_the_api_server_takes_every_scenario(name: str, helm: Helm) -> None:
    out = helm("install", "squeezeserve", str(CHART), "-f", str(SCENARIOS[name]), "--dry-run=server")
    assert "STATUS: pending-install" in out or "DESCRIPTION: Dry run complete" in out


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("pod", ["Deployment/squeezeserve-operator", "Pod/squeezeserve-test"])
def test_pods_are_admitted_under_the_restricted_standard(name: str, pod: str, api_server: ApiServer) -> None:
    spec = pod_specs(scenario(name))[pod] | {"priorityClassName": ""}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    arguments = ("create", "-n", NAMESPACE, "--dry-run=server", "--validate=strict", "-f", "-")
    assert "created" in api_server.kubectl(*arguments, stdin=json.dumps(manifest))


def test_the_restricted_standard_is_in_force_here(api_server: ApiServer) -> None:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    arguments = ("create", "-n", NAMESPACE, "--dry-run=server", "-f", "-")
    assert "violates PodSecurity" in api_server.kubectl(*arguments, stdin=json.dumps(manifest), check=False)


def test_install_yaml_applies_twice_and_by_server_side_apply(api_server: ApiServer) -> None:
    apply = ("apply", "--server-side", "--validate=strict", "-f", str(ROOT / "manifests" / "install.yaml"))
    try:
        for _ in range(2):
            out = api_server.kubectl(*apply, "--force-conflicts")
            assert out.count("serverside-applied") == len(out.strip().splitlines())
    finally:
        objects = [
            ("deployment,service,serviceaccount", "-n", NAMESPACE, "--all"),
            ("clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/part-of=squeezeserve"),
            ("crd", CRD, TRAINING_CRD),
        ]
        for selection in objects:
            api_server.kubectl("delete", *selection)


def test_models_survive_an_uninstall_and_are_adopted_by_the_next_install(
    api_server: ApiServer, helm: Helm
) -> None:
    helm("install", "squeezeserve", str(CHART))
    api_server.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=60s")
    api_server.kubectl("create", "-f", "-", stdin=json.dumps(MODEL))
    before = uid(api_server, "crd", CRD), uid(api_server, "squeezemodel", "digits")
    generation = ("get", "squeezemodel", "digits", "-o", "jsonpath={.metadata.resourceVersion}")
    version = api_server.kubectl(*generation)

    assert CRD in helm("uninstall", "squeezeserve")
    assert (
        api_server.kubectl("get", "clusterrole", "-l", "app.kubernetes.io/part-of=squeezeserve", "-o", "name")
        == ""
    )
    assert (uid(api_server, "crd", CRD), uid(api_server, "squeezemodel", "digits")) == before

    helm("install", "squeezeserve", str(CHART))
    assert (uid(api_server, "crd", CRD), uid(api_server, "squeezemodel", "digits")) == before
    assert api_server.kubectl(*generation) == version  # nothing wrote to it: nothing restarts


def test_giving_the_crd_away_keeps_it(api_server: ApiServer, helm: Helm) -> None:
    helm("install", "squeezeserve", str(CHART))
    before = uid(api_server, "crd", CRD)
    helm("upgrade", "squeezeserve", str(CHART), "--set", "crds.install=false")
    assert uid(api_server, "crd", CRD) == before
    helm("rollback", "squeezeserve", "1")
    assert uid(api_server, "crd", CRD) == before


def test_an_upgrade_brings_back_what_an_older_crd_lacks(api_server: ApiServer, helm: Helm) -> None:
    helm("install", "squeezeserve", str(CHART))
    columns = "/spec/versions/0/additionalPrinterColumns"
    patch = json.dumps([{"op": "add", "path": columns, "value": []}])
    api_server.kubectl("patch", "crd", CRD, "--type=json", "-p", patch)
    helm("upgrade", "squeezeserve", str(CHART), "--force-conflicts")
    crds = of_kind(scenario("default"), "CustomResourceDefinition")
    (wanted,) = (crd["spec"] for crd in crds if crd["metadata"]["name"] == CRD)
    found = json.loads(api_server.kubectl("get", "crd", CRD, "-o", "json"))["spec"]
    columns_of = [spec["versions"][0].get("additionalPrinterColumns") for spec in (wanted, found)]
    assert columns_of[0] == columns_of[1]


def test_a_crd_applied_by_hand_is_taken_over_only_when_asked(api_server: ApiServer, helm: Helm) -> None:
    api_server.kubectl("apply", "--server-side", "-f", ROOT / "manifests" / "crds" / "squeezemodels.yaml")
    before = uid(api_server, "crd", CRD)
    assert "invalid ownership metadata" in helm("install", "squeezeserve", str(CHART), check=False)
    helm("install", "squeezeserve", str(CHART), "--take-ownership", "--force-conflicts")
    assert uid(api_server, "crd", CRD) == before
    assert CRD in helm("uninstall", "squeezeserve")
    assert uid(api_server, "crd", CRD) == before


MODELS, SERVICES = ("squeezeserve.io", "squeezemodels"), ("serving.kserve.io", "inferenceservices")
CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")
ALLOWED = [
    ("list", *MODELS),
    ("patch", MODELS[0], "squeezemodels/status"),
    ("patch", *SERVICES),
    ("create", "", "events"),
]
DENIED = [
    ("update", *MODELS),
    ("delete", *SERVICES),
    ("delete", *MODELS),
    ("get", "", "secrets"),
    ("create", "", "pods"),
]


def may(api_server: ApiServer, verb: str, group: str, resource: str, namespace: str) -> bool:
    """What the API server's authorizer says about the operator's account."""
    name, _, part = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": name, "subresource": part, "namespace": namespace}
    account = f"system:serviceaccount:{NAMESPACE}:squeezeserve-operator"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": account, "resourceAttributes": attributes},
    }
    answer = api_server.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
    allowed: bool = json.loads(answer)["status"]["allowed"]
    return allowed


def test_the_operator_may_work_in_every_namespace(api_server: ApiServer, helm: Helm) -> None:
    helm("install", "squeezeserve", str(CHART))
    assert all(may(api_server, *each, "team-a") for each in ALLOWED)
    assert may(api_server, "watch", *CRDS, "")
    assert not any(may(api_server, *each, "team-a") for each in DENIED)


def test_the_operator_may_work_in_its_namespaces_only(api_server: ApiServer, helm: Helm) -> None:
    helm("install", "squeezeserve", str(CHART), "--set", "watchNamespaces={team-a}")
    assert all(may(api_server, *each, "team-a") for each in ALLOWED)
    assert not any(may(api_server, *each, "team-b") for each in ALLOWED)
    assert not may(api_server, "list", *CRDS, "")
