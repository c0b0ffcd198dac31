"""Security properties of every pod that the chart makes, in every scenario."""

from typing import Any

import pytest
from unit.chart.chart_rendering import SCENARIOS, of_kind, only, pod_specs, rendered, scenario

EVERY_POD = [
    (name, pod) for name in SCENARIOS for pod in ("Deployment/squeezeserve-operator", "Pod/squeezeserve-test")
]
every_pod = pytest.mark.parametrize(("name", "pod"), EVERY_POD)


def spec_of(name: str, pod: str) -> dict[str, Any]:
    found: dict[str, Any] = pod_specs(scenario(name))[pod]
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_pod_escapes_these_tests(name: str) -> None:
    assert set(pod_specs(scenario(name))) == {pod for _, pod in EVERY_POD}


@every_pod
def test_pod_meets_the_restricted_pod_security_standard(name: str, pod: str) -> None:
    spec = spec_of(name, pod)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & spec.keys()
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not context.keys() & {"privileged", "runAsUser", "runAsNonRoot", "seccompProfile"}
        assert all("hostPort" not in port for port in container.get("ports", []))


@every_pod
def test_root_filesystem_is_read_only_and_tmp_is_bounded(name: str, pod: str) -> None:
    spec = spec_of(name, pod)
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp"}
    (volume,) = spec["volumes"]
    assert set(volume) == {"name", "emptyDir"}
    assert volume["emptyDir"]["sizeLimit"]


@every_pod
def test_resources_are_asked_for_and_memory_is_bounded(name: str, pod: str) -> None:
    (container,) = spec_of(name, pod)["containers"]
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]


@every_pod
def test_user_is_65532_unless_the_cluster_chooses(name: str, pod: str) -> None:
    context = spec_of(name, pod)["securityContext"]
    wanted = (None, None) if name == "openshift" else (65532, 65532)
    assert (context.get("runAsUser"), context.get("runAsGroup")) == wanted


@every_pod
def test_a_user_without_a_name_or_a_home_can_run_it(name: str, pod: str) -> None:
    """OpenShift picks a user id with no passwd entry: HOME is then /, and getpass.getuser() raises."""
    (container,) = spec_of(name, pod)["containers"]
    variables = {entry["name"]: entry for entry in container["env"]}
    assert variables["HOME"]["value"] == "/tmp"
    assert "fsGroup" not in spec_of(name, pod)["securityContext"]  # an emptyDir is writable for everyone
    if pod.startswith("Deployment"):
        # kopf names its process by POD_ID, and by the user's name where that is absent.
        assert variables["POD_ID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_each_of_user_and_group_can_be_left_to_the_cluster() -> None:
    spec = pod_specs(rendered("--set", "podSecurity.runAsUser=null"))["Deployment/squeezeserve-operator"]
    assert "runAsUser" not in spec["securityContext"]
    assert spec["securityContext"]["runAsGroup"] == 65532
    assert spec["securityContext"]["runAsNonRoot"] is True


def test_a_large_user_id_is_not_rendered_as_a_float() -> None:
    spec = pod_specs(rendered("--set", "podSecurity.runAsUser=1000770000"))[
        "Deployment/squeezeserve-operator"
    ]
    assert spec["securityContext"]["runAsUser"] == 1000770000


@pytest.mark.parametrize("name", SCENARIOS)
def test_tokens_go_to_the_pods_that_ask_and_to_no_other(name: str) -> None:
    objects = scenario(name)
    assert all(
        account["automountServiceAccountToken"] is False for account in of_kind(objects, "ServiceAccount")
    )
    accounts = {pod: spec["serviceAccountName"] for pod, spec in pod_specs(objects).items()}
    assert accounts["Deployment/squeezeserve-operator"] != accounts["Pod/squeezeserve-test"]
    assert "default" not in accounts.values()


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_listens_outside_the_cluster(name: str) -> None:
    assert only(scenario(name), "Service")["spec"]["type"] == "ClusterIP"
    assert of_kind(scenario(name), "Ingress", "HTTPRoute", "Secret") == []
