"""The chart renders to sound objects in every scenario, and each value does what it says."""

import tomllib

import pytest
import yaml
from squeeze_operator import names
from squeeze_operator.settings import Settings, parse_settings
from squeeze_operator.snapshot import Options
from unit.chart.chart_rendering import (
    CHART,
    NAMESPACE,
    ROOT,
    SCENARIOS,
    Object,
    helm,
    of_kind,
    only,
    operator_container,
    parsed,
    pod_specs,
    rendered,
    scenario,
)
from unit.chart.kubernetes_types import problems

MONITORING = ("ServiceMonitor", "PodMonitor", "PrometheusRule")
each_scenario = pytest.mark.parametrize("name", SCENARIOS)


def test_the_chart_has_the_version_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]


@each_scenario
def test_helm_lint_has_nothing_to_say(name: str) -> None:
    done = helm("lint", "--strict", CHART, "-f", SCENARIOS[name])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@each_scenario
def test_every_object_has_the_types_of_the_api(name: str) -> None:
    ours = [item for item in scenario(name) if item["kind"] not in MONITORING]  # no Kubernetes types
    assert {item["metadata"]["name"]: found for item in ours if (found := problems(item))} == {}


@each_scenario
def test_no_two_objects_have_one_name(name: str) -> None:
    identities = [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in scenario(name)
    ]
    assert len(identities) == len(set(identities))


@each_scenario
def test_every_selector_finds_the_operator_and_nothing_else(name: str) -> None:
    objects = scenario(name)
    deployment = only(objects, "Deployment")
    selector = deployment["spec"]["selector"]["matchLabels"]
    pod = deployment["spec"]["template"]["metadata"]["labels"]
    test_pod = only(objects, "Pod")["metadata"]["labels"]
    selectors = [
        selector,
        only(objects, "Service")["spec"]["selector"],
        *(item["spec"]["selector"]["matchLabels"] for item in of_kind(objects, "PodDisruptionBudget")),
        *(item["spec"]["podSelector"]["matchLabels"] for item in of_kind(objects, "NetworkPolicy")),
    ]
    assert all(each == selector for each in selectors)
    assert selector.items() <= pod.items()
    assert not selector.items() <= test_pod.items()
    assert not any("version" in key or "chart" in key for key in pod)


@pytest.mark.parametrize("release", ["s", "squeezeserve", "a" * 53, "squeezeserve-" + "b" * 40])
def test_names_fit_for_every_length_of_release_name(release: str) -> None:
    objects = rendered(release=release)
    assert all(
        len(item["metadata"]["name"]) <= 63 for item in objects if item["kind"] != "CustomResourceDefinition"
    )
    assert all(problems(item) == [] for item in objects)


def test_one_operator_runs_and_never_two() -> None:
    spec = only(rendered(), "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def settings_of(name: str) -> Settings:
    """What the operator itself makes of a scenario's arguments; usage errors end the test."""
    return parse_settings(operator_container(scenario(name))["args"], environment={})


def test_default_arguments_of_the_operator() -> None:
    options = Options("squeezeserve/predictor:0.1.0", "squeezeserve/trainer:0.1.0")
    assert settings_of("default") == Settings(options=options, log_format="json")


def test_every_value_for_the_operator_reaches_it() -> None:
    options = Options(
        "squeezeserve/predictor:0.1.0",
        "squeezeserve/trainer:0.1.0",
        domain_template="{{ .Namespace }}-{{ .Name }}.{{ .IngressDomain }}",
    )
    assert settings_of("namespaced") == Settings(
        options=options, namespaces=("team-a", "team-b"), log_format="text", log_level="DEBUG", workers=1
    )
    kind = settings_of("kind").options
    assert (kind.predictor_image, kind.trainer_image, kind.allow_cpu_fallback) == (
        "localhost:5001/squeezeserve/predictor:0.1.0",
        "squeezeserve/trainer:0.1.0",
        True,
    )
    pulled = rendered("--set", "predictor.image.pullPolicy=Always")
    assert "--image-pull-policy=Always" in operator_container(pulled)["args"]
    trained = rendered("--set", "trainer.image.pullPolicy=Never,trainer.image.tag=v9")
    arguments = {"--trainer-pull-policy=Never", "--trainer-image=squeezeserve/trainer:v9"}
    assert arguments <= set(operator_container(trained)["args"])


@each_scenario
def test_the_operator_understands_its_arguments_and_listens_where_it_is_probed(name: str) -> None:
    settings = settings_of(name)
    ports = {port["name"]: port["containerPort"] for port in operator_container(scenario(name))["ports"]}
    assert ports == {"health": settings.health_port, "metrics": settings.metrics_port}


def test_a_digest_wins_over_a_tag() -> None:
    digest = "sha256:" + "a" * 64
    settings = ("--set", f"image.digest={digest}", "--set", "image.tag=v9")
    assert operator_container(rendered(*settings))["image"] == f"squeezeserve/operator@{digest}"
    assert operator_container(rendered("--set", "image.tag=v9"))["image"] == "squeezeserve/operator:v9"


def test_ports_agree_between_arguments_container_service_and_probes() -> None:
    objects = rendered()
    container = operator_container(objects)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"health": 8081, "metrics": 9090}
    service = {
        port["name"]: (port["port"], port["targetPort"]) for port in only(objects, "Service")["spec"]["ports"]
    }
    assert service == {"health": (8081, "health"), "metrics": (9090, "metrics")}
    paths = {
        probe: (container[probe]["httpGet"]["path"], container[probe]["httpGet"]["port"])
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": ("/livez", "health"),
        "livenessProbe": ("/livez", "health"),
        "readinessProbe": ("/readyz", "health"),
    }


def environment(objects: list[Object]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in operator_container(objects)["env"]}


def test_without_a_proxy_no_proxy_variable_is_set() -> None:
    assert not any("PROXY" in name for name in environment(rendered()))


def test_with_a_proxy_requests_inside_the_cluster_stay_direct() -> None:
    variables = environment(scenario("hardened"))
    assert variables["HTTPS_PROXY"] == variables["HTTP_PROXY"] == "http://proxy.example.com:3128"
    direct = variables["NO_PROXY"].split(",")
    # The client talks to the API server by this address, which only the kubelet knows.
    assert direct[0] == "$(KUBERNETES_SERVICE_HOST)"
    assert {".svc", ".cluster.local", "localhost", "127.0.0.1", ".example.com", "10.0.0.0/8"} <= set(direct)


def test_one_proxy_alone_also_gets_its_exceptions() -> None:
    variables = environment(rendered("--set", "proxy.http=http://p:1"))
    assert "NO_PROXY" in variables
    assert "HTTPS_PROXY" not in variables


def test_a_users_labels_cannot_break_the_selector() -> None:
    mine = "podLabels.app\\.kubernetes\\.io/name=mine"
    deployment = only(rendered("--set", mine, "--set", "podLabels.team=a"), "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels["team"] == "a"


def test_network_policy_lets_through_what_the_operator_needs() -> None:
    policy = only(scenario("hardened"), "NetworkPolicy")["spec"]
    ingress = {rule["ports"][0]["port"]: rule.get("from") for rule in policy["ingress"]}
    test_labels = only(scenario("hardened"), "Pod")["metadata"]["labels"]
    assert ingress[8081] is not None
    assert ingress[8081][0]["podSelector"]["matchLabels"].items() <= test_labels.items()
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}
    assert ingress[9090] == [{"namespaceSelector": {"matchLabels": monitoring}}]
    egress = [(tuple(port["port"] for port in rule["ports"]), rule.get("to")) for rule in policy["egress"]]
    ports = [each for each, _ in egress]
    assert ports == [(53, 53), (6443,), (8080,), (3128,)]
    models = egress[2][1]
    assert models is not None
    assert models[0]["podSelector"]["matchExpressions"] == [{"key": names.MODEL_LABEL, "operator": "Exists"}]
    assert egress[1][1] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}, {"ipBlock": {"cidr": "10.0.0.2/32"}}]


def test_models_policies_let_in_the_operator_and_the_peers_that_were_named() -> None:
    rules = settings_of("hardened").options.network_rules
    assert rules is not None
    (operator,), (gateway,) = rules.operator, rules.clients
    pod = only(scenario("hardened"), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert operator["podSelector"]["matchLabels"].items() <= pod.items()
    assert operator["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": NAMESPACE}
    assert gateway == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}
    assert rules.weights == ({"ports": [{"port": 3128, "protocol": "TCP"}]},)


def test_replicas_get_proxies_of_their_own_and_reach_the_cluster_directly() -> None:
    variables = dict(settings_of("hardened").options.environment)
    assert variables["HTTPS_PROXY"] == variables["https_proxy"] == "http://proxy.example.com:3128"
    assert variables["NO_PROXY"] == "localhost,127.0.0.1,.svc,.cluster.local,.example.com"
    assert settings_of("default").options.environment == ()


def test_images_of_one_architecture_keep_to_its_nodes() -> None:
    assert settings_of("hardened").options.architecture == "amd64"
    spec = pod_specs(scenario("hardened"))["Deployment/squeezeserve-operator"]
    assert spec["nodeSelector"]["kubernetes.io/arch"] == "amd64"
    assert "nodeSelector" not in pod_specs(rendered())["Deployment/squeezeserve-operator"]


def test_open_ends_of_the_network_policy_are_any_peer() -> None:
    policy = only(rendered("--set", "networkPolicy.enabled=true"), "NetworkPolicy")["spec"]
    assert "from" not in policy["ingress"][1]
    assert policy["egress"][1] == {"ports": [{"port": 443}, {"port": 6443}]}


def test_the_service_monitor_scrapes_the_metrics_service() -> None:
    objects = scenario("monitoring")
    monitor, service = only(objects, "ServiceMonitor"), only(objects, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["interval"] == "15s"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_optional_objects_are_off_by_default() -> None:
    optional = (*MONITORING, "ConfigMap", "PodDisruptionBudget", "NetworkPolicy")
    assert of_kind(rendered(), *optional) == []


def test_the_test_pod_asks_the_service_for_readiness() -> None:
    objects = rendered(release="other", namespace="elsewhere")
    pod = only(objects, "Pod")
    variables = {entry["name"]: entry["value"] for entry in pod["spec"]["containers"][0]["env"]}
    service = only(objects, "Service")["metadata"]
    assert variables["HEALTH_URL"] == f"http://{service['name']}.{service['namespace']}.svc:8081/readyz"
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"


def notes(*arguments: str) -> str:
    done = helm("install", "squeezeserve", CHART, "-n", NAMESPACE, "--dry-run=client", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_the_notes_hold_a_model_that_can_be_applied() -> None:
    text = notes()
    manifest = text.partition("<<EOF\n")[2].partition("\nEOF\n")[0]  # a shell wants EOF at the line's start
    (model,) = parsed(manifest)
    assert model["kind"] == "SqueezeModel"
    assert model["spec"] == {"weights": {"uri": "builtin://digits"}}
    assert "helm test squeezeserve -n squeezeserve-system" in text
    assert "install KServe" in text  # nothing serves it where there is no cluster to ask


def test_the_notes_use_a_namespace_that_is_served() -> None:
    text = notes("--set", "watchNamespaces={team-a,team-b}")
    assert "namespace: team-a" in text
    assert "restart the operator" in text
