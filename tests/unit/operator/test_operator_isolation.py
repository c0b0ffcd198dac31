"""Network policies, proxies and architectures: what the operator makes of an administrator's options."""

from dataclasses import replace
from typing import Any

import pytest
from squeeze_operator import names
from squeeze_operator.decide import decide
from squeeze_operator.desired import pod_spec
from squeeze_operator.diff import differs
from squeeze_operator.settings import parse_settings
from squeeze_operator.snapshot import NetworkRules, Snapshot
from squeeze_operator.spec import Weights, parse_spec
from unit.operator_snapshots import OPTIONS, SPEC, seen

GATEWAY = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}
HTTPS = {"ports": [{"port": 443}]}
OPERATOR = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}}}
RULES = NetworkRules(operator=(OPERATOR,), clients=(GATEWAY,), weights=(HTTPS,))


def policy_of(snapshot: Snapshot) -> dict[str, Any]:
    """The one NetworkPolicy of the decision."""
    (policy,) = [o for o in decide(snapshot).objects if o["kind"] == "NetworkPolicy"]
    return policy


def guarded(spec: dict[str, Any] | None = None, **children: Any) -> Snapshot:
    """A snapshot under an operator that makes policies."""
    snapshot = seen(spec)
    options = replace(snapshot.options, network_rules=RULES)
    return replace(snapshot, options=options, children={**snapshot.children, **children})


def test_replicas_answer_their_namespace_and_the_administrators_peers() -> None:
    policy = policy_of(guarded())
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {}}, OPERATOR, GATEWAY]
    assert [port["port"] for port in rule["ports"]] == [names.HTTP_PORT, names.GRPC_PORT]
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "isvc.digits-predictor"}}
    assert policy["metadata"]["name"] == "digits-predictor"
    assert policy["metadata"]["ownerReferences"][0]["uid"] == "u1"


@pytest.mark.parametrize("uri", ["builtin://digits", "pvc://claim/model"])
def test_weights_that_are_there_already_need_no_network(uri: str) -> None:
    assert policy_of(guarded({"weights": {"uri": uri}}))["spec"]["egress"] == []


@pytest.mark.parametrize(
    "uri", ["torchvision://squeezenet1_1", "s3://b/m", "gs://b/m", "https://h/m.safetensors", "hf://o/m"]
)
def test_downloads_reach_dns_and_the_weights_and_nothing_else(uri: str) -> None:
    dns, weights = policy_of(guarded({"weights": {"uri": uri}}))["spec"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert dns["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}
    assert weights == HTTPS


def test_the_policy_comes_before_the_replicas() -> None:
    kinds = [wanted["kind"] for wanted in decide(guarded()).objects]
    assert kinds.index("NetworkPolicy") < kinds.index("InferenceService")


def test_a_policy_as_the_api_server_stores_it_is_left_alone() -> None:
    wanted = policy_of(guarded())
    spec = {key: value for key, value in wanted["spec"].items() if value != []}
    assert not differs(wanted, wanted | {"spec": spec})
    assert differs(wanted, wanted | {"spec": spec | {"egress": [{}]}})


def test_switched_off_it_removes_its_own_policy_and_no_other() -> None:
    mine = policy_of(guarded())
    assert decide(replace(guarded(NetworkPolicy=mine), options=OPTIONS)).unwanted == (mine,)
    foreign = mine | {"metadata": mine["metadata"] | {"ownerReferences": []}}
    assert decide(replace(guarded(NetworkPolicy=foreign), options=OPTIONS)).unwanted == ()
    assert not [o for o in decide(guarded(NetworkPolicy=foreign)).objects if o["kind"] == "NetworkPolicy"]


def test_replicas_get_the_environment_that_the_administrator_set() -> None:
    options = replace(OPTIONS, environment=(("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", ".svc")))
    (container,) = pod_spec("digits", parse_spec(SPEC), options)["containers"]
    variables = {entry["name"]: entry["value"] for entry in container["env"]}
    assert variables["HTTPS_PROXY"] == "http://proxy:3128"
    assert variables["NO_PROXY"] == ".svc"


def test_an_image_of_one_architecture_keeps_replicas_on_its_nodes() -> None:
    options = replace(OPTIONS, architecture="amd64")
    placed = {"placement": {"nodeSelector": {"disk": "ssd"}}}
    assert pod_spec("m", parse_spec(SPEC), OPTIONS).get("nodeSelector") is None
    assert pod_spec("m", parse_spec(SPEC), options)["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    both = pod_spec("m", parse_spec(SPEC | placed), options)["nodeSelector"]
    assert both == {"kubernetes.io/arch": "amd64", "disk": "ssd"}
    own = pod_spec("m", parse_spec(SPEC | {"image": "mine:1"}), options)
    assert "nodeSelector" not in own


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:secret@host/a/model.safetensors", "https://host/a/model.safetensors"),
        ("https://host/a@b/model.safetensors?token=secret", "https://host/a@b/model.safetensors"),
        ("s3://bucket/model", "s3://bucket/model"),
    ],
)
def test_a_uri_is_told_without_its_secrets(uri: str, shown: str) -> None:
    assert Weights(uri).shown == shown


def test_no_message_holds_a_uris_secret() -> None:
    secret = {"weights": {"uri": "https://user:hunter2@host/m.safetensors?token=hunter2"}}
    ended = {"exitCode": 1, "message": "WeightsDownloadFailed: refused"}
    status = {"name": "storage-initializer", "state": {"terminated": ended}, "ready": False}
    pod = {"metadata": {"name": "p"}, "status": {"initContainerStatuses": [status]}}
    for pods in ([pod], []):
        decision = decide(seen(secret, pods=pods, service=[], deployment={"replicas": 1}))
        assert "hunter2" not in str((decision.status, decision.announcements))


@pytest.mark.parametrize("text", ["no json", "[]", '{"other": []}', '{"clients": 1}'])
def test_rules_that_are_none_are_a_usage_error(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_settings(["--predictor-image=p", f"--network-rules={text}"], environment={})
    assert "--network-rules" in capsys.readouterr().err
