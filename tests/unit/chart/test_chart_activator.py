"""The activator's part of the chart: off unless asked for, and as closed as the rest."""

from typing import Any

import pytest
from squeeze_operator.activator.settings import parse_settings
from squeeze_operator.names import ACTIVATOR_LABEL, Key
from squeeze_operator.settings import parse_settings as parse_operator
from unit.chart.chart_rendering import CHART, Object, helm, of_kind, only, pod_specs, rendered
from unit.chart.test_chart_rbac import ACTIVATED, CLUSTER_ONLY, OPERATOR, granted, roles
from unit.chart.test_scraping import kept_port, selector

ON = ("--set", "activator.enabled=true")
GUARDED = (*ON, "--set", "networkPolicy.enabled=true", "--set", "predictor.networkPolicy.enabled=true")
NAME = "squeezeserve-activator"
FOLLOWS = {("discovery.k8s.io", "endpointslices"): frozenset({"list", "watch"})}


def named(objects: list[Object], kind: str) -> Object:
    """The activator's object of a kind."""
    return only([one for one in objects if one["metadata"]["name"] == NAME], kind)


def pod(*values: str) -> Any:
    """The spec of its pods."""
    return pod_specs(rendered(*ON, *values))[f"Deployment/{NAME}"]


def test_it_is_off_unless_asked_for() -> None:
    assert all("activator" not in one["metadata"]["name"] for one in rendered())


def test_its_pods_meet_the_restricted_standard() -> None:
    spec = pod()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    context = container["securityContext"]
    assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert "memory" in container["resources"]["limits"]
    assert "runAsUser" not in pod("--set", "podSecurity.runAsUser=null")["securityContext"]


def test_it_and_the_operator_understand_their_arguments() -> None:
    objects = rendered(*ON, "--set", "activator.holdSeconds=20")
    (container,) = pod_specs(objects)[f"Deployment/{NAME}"]["containers"]
    settings = parse_settings(container["args"], {})
    assert (settings.hold_seconds, settings.most_requests, settings.most_bytes) == (20, 1000, 128 * 2**20)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": settings.port, "health": settings.health_port, "metrics": settings.report_port}
    (operator,) = pod_specs(objects)["Deployment/squeezeserve-operator"]["containers"]
    assert parse_operator(operator["args"], {}).options.activator == Key("squeezeserve-system", NAME)
    assert operator["image"] == container["image"]


def test_a_pod_that_ends_has_time_for_what_it_holds() -> None:
    spec = pod("--set", "activator.holdSeconds=40")
    (container,) = spec["containers"]
    drain = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] > 40 + drain


def test_its_service_has_the_label_by_which_the_operator_follows_its_pods() -> None:
    service = named(rendered(*ON), "Service")
    assert ACTIVATOR_LABEL in service["metadata"]["labels"]
    template = named(rendered(*ON), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= template.items()


def test_rights_where_there_is_an_activator() -> None:
    found = roles(rendered(*ON))
    assert granted(found["ClusterRole/squeezeserve-operator"]) == OPERATOR | ACTIVATED | CLUSTER_ONLY
    assert granted(found[f"ClusterRole/{NAME}"]) == FOLLOWS
    binding = named(rendered(*ON), "ClusterRoleBinding")
    assert [(subject["kind"], subject["name"]) for subject in binding["subjects"]] == [
        ("ServiceAccount", NAME)
    ]


def test_rights_in_some_namespaces_and_nothing_cluster_wide() -> None:
    objects = rendered(*ON, "--set", "watchNamespaces={team-a,squeezeserve-system}")
    found = roles(objects)
    assert of_kind(objects, "ClusterRoleBinding") == []
    for namespace in ("team-a", "squeezeserve-system"):
        assert granted(found[f"Role/{namespace}/{NAME}"]) == FOLLOWS
        assert granted(found[f"Role/{namespace}/squeezeserve-operator"]) == OPERATOR | ACTIVATED


def test_the_operator_must_be_able_to_follow_the_activators_pods() -> None:
    done = helm("template", "s", CHART, *ON, "--set", "watchNamespaces={team-a}")
    assert done.returncode != 0
    assert "add the release's own namespace to watchNamespaces" in done.stderr


def test_gateways_reach_it_and_it_reaches_replicas() -> None:
    clients = 'predictor.networkPolicy.clientsFrom=[{"podSelector":{}}]'
    scrapers = 'networkPolicy.metricsFrom=[{"namespaceSelector":{"matchLabels":{"team":"watch"}}}]'
    objects = rendered(*GUARDED, "--set-json", clients, "--set-json", scrapers)
    requests, reports = named(objects, "NetworkPolicy")["spec"]["ingress"]
    assert requests == {"ports": [{"port": 8080}], "from": [{"podSelector": {}}]}
    assert [peer["namespaceSelector"]["matchLabels"] for peer in reports["from"]] == [
        {"team": "watch"},
        {"kubernetes.io/metadata.name": "keda"},
    ]
    (operator,) = pod_specs(objects)["Deployment/squeezeserve-operator"]["containers"]
    rules = parse_operator(operator["args"], {}).options.network_rules
    assert rules is not None
    components = {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in rules.operator
    }
    assert components == {"operator", "activator"}


def test_prometheus_finds_its_pods_in_either_way() -> None:
    objects = rendered(*ON, "--set", "metrics.serviceMonitor.enabled=true")
    monitor, service = named(objects, "ServiceMonitor")["spec"], named(objects, "Service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    labels = named(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    wanted = dict(pair.split("=") for pair in selector("squeezeserve-activator").split(","))
    assert wanted.items() <= labels.items()
    assert kept_port("squeezeserve-activator") == "metrics"


@pytest.mark.parametrize("value", ["replicas=0", "holdSeconds=0", "mostBytes=1", "nonsense=1"])
def test_values_that_make_no_sense_are_refused(value: str) -> None:
    assert helm("template", "s", CHART, *ON, "--set", f"activator.{value}").returncode != 0
