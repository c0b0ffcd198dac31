"""Who may do what: every right that the chart grants, against an explicit table."""

from collections.abc import Iterable
from typing import Any

import pytest
from squeeze_operator import names
from unit.chart.chart_rendering import SCENARIOS, of_kind, only, rendered, scenario

READ = frozenset({"get", "list", "watch"})
WRITE = frozenset({"create", "patch"})

# Change this table only together with the operator's code that needs the right.
OPERATOR = {
    ("squeezeserve.io", "squeezemodels"): READ,
    ("squeezeserve.io", "squeezemodels/status"): frozenset({"patch"}),
    ("squeezeserve.io", "squeezetrainings"): READ,
    ("squeezeserve.io", "squeezetrainings/status"): frozenset({"patch"}),
    ("serving.kserve.io", "inferenceservices"): READ | WRITE,
    ("batch", "jobs"): READ | WRITE,
    ("", "services"): WRITE | {"get"},
    ("", "persistentvolumeclaims"): frozenset({"get"}),
    ("policy", "poddisruptionbudgets"): READ | WRITE,
    ("autoscaling", "horizontalpodautoscalers"): READ | WRITE | {"delete"},
    ("keda.sh", "scaledobjects"): READ | WRITE | {"delete"},
    ("networking.k8s.io", "networkpolicies"): READ | WRITE | {"delete"},
    ("apps", "deployments"): READ,
    ("", "pods"): frozenset({"list", "watch"}),
    ("", "events"): frozenset({"create"}),
}
ACTIVATED = {("discovery.k8s.io", "endpointslices"): READ | WRITE | {"delete"}}
"""What it may do besides where there is an activator."""
CLUSTER_ONLY = {("apiextensions.k8s.io", "customresourcedefinitions"): frozenset({"list", "watch"})}
OURS = ("squeezemodels", "squeezetrainings")
VIEW = {("squeezeserve.io", kind + part): READ for kind in OURS for part in ("", "/status")}
EDIT = {
    ("squeezeserve.io", kind): frozenset({"create", "update", "patch", "delete", "deletecollection"})
    for kind in OURS
}


def granted(role: dict[str, Any]) -> dict[tuple[str, str], frozenset[str]]:
    """A role's verbs by (API group, resource)."""
    table: dict[tuple[str, str], frozenset[str]] = {}
    for rule in role["rules"]:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                table[group, resource] = table.get((group, resource), frozenset()) | set(rule["verbs"])
    return table


def roles(objects: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        "/".join(
            filter(None, (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]))
        ): item
        for item in of_kind(objects, "ClusterRole", "Role")
    }


def test_the_table_is_what_the_operators_own_list_of_kinds_needs() -> None:
    read = {names.MODELS, names.TRAININGS, names.DEPLOYMENTS}
    assert all(OPERATOR[kind.group, kind.plural] == READ for kind in read)
    table = OPERATOR | ACTIVATED
    for kind in names.WRITTEN.values():
        seen = {"get"} if kind in names.UNWATCHED else READ
        assert table[kind.group, kind.plural] - {"delete"} == seen | WRITE
    others = (names.PODS, names.CLAIMS, names.EVENTS)
    known = {(kind.group, kind.plural) for kind in (*read, *names.WRITTEN.values(), *others)}
    status = {(names.GROUP, f"{kind.plural}/status") for kind in (names.MODELS, names.TRAININGS)}
    assert set(table) == known | status


def test_rights_of_an_operator_for_every_namespace() -> None:
    found = roles(rendered())
    assert set(found) == {
        "ClusterRole/squeezeserve-operator",
        "ClusterRole/squeezeserve-view",
        "ClusterRole/squeezeserve-edit",
    }
    assert granted(found["ClusterRole/squeezeserve-operator"]) == OPERATOR | CLUSTER_ONLY


def test_rights_of_an_operator_for_some_namespaces() -> None:
    found = roles(scenario("namespaced"))
    assert set(found) == {"Role/team-a/squeezeserve-operator", "Role/team-b/squeezeserve-operator"}
    assert all(granted(role) == OPERATOR for role in found.values())
    assert of_kind(scenario("namespaced"), "ClusterRoleBinding") == []


def test_rights_of_application_teams() -> None:
    found = roles(rendered())
    aggregation = "rbac.authorization.k8s.io/aggregate-to-"
    for name, table, into in (("view", VIEW, {"view", "edit", "admin"}), ("edit", EDIT, {"edit", "admin"})):
        role = found[f"ClusterRole/squeezeserve-{name}"]
        assert granted(role) == table
        labels = role["metadata"]["labels"]
        carried = {key.removeprefix(aggregation) for key in labels if key.startswith(aggregation)}
        assert carried == into
        assert all(labels[aggregation + each] == "true" for each in into)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_wildcard_no_secret_no_escalation(name: str) -> None:
    for role in roles(scenario(name)).values():
        for (group, resource), verbs in granted(role).items():
            assert "*" not in {group, resource} | verbs
            assert not {"escalate", "bind", "impersonate"} & verbs
            assert resource not in {"secrets", "configmaps", "pods/exec", "serviceaccounts/token"}


@pytest.mark.parametrize("name", SCENARIOS)
def test_bindings_name_the_operators_account_and_only_it(name: str) -> None:
    objects = scenario(name)
    account = only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    subject = {"kind": "ServiceAccount", "name": account, "namespace": "squeezeserve-system"}
    bindings = of_kind(objects, "ClusterRoleBinding", "RoleBinding")
    assert bindings
    for binding in bindings:
        assert binding["subjects"] == [subject]
        reference = binding["roleRef"]
        key = (reference["kind"], binding["metadata"].get("namespace"), reference["name"])
        assert "/".join(filter(None, key)) in roles(objects)


def test_rbac_can_be_left_to_somebody_else() -> None:
    objects = rendered("--set", "rbac.create=false", "--set", "rbac.aggregate=false")
    assert of_kind(objects, "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding") == []
