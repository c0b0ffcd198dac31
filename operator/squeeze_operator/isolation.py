"""What may reach a model's replicas, and what they may reach: one NetworkPolicy a model.

NetworkPolicies add up, so a team opens more by a policy of its own and never has to change this one.
"""

from collections.abc import Mapping
from typing import Any

from squeeze_operator import names
from squeeze_operator.desired import child_metadata
from squeeze_operator.snapshot import NetworkRules, Snapshot
from squeeze_operator.spec import ModelSpec

Json = dict[str, Any]
_PORTS = [{"port": port, "protocol": "TCP"} for port in (names.HTTP_PORT, names.GRPC_PORT)]
DNS = {
    "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
    "ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")],
}


def isolation(snapshot: Snapshot, spec: ModelSpec) -> tuple[tuple[Json, ...], tuple[Mapping[str, Any], ...]]:
    """The wanted NetworkPolicy, and a live one of ours that is no longer wanted."""
    rules = snapshot.options.network_rules
    if rules is not None:
        return (network_policy(snapshot.model["metadata"], spec, rules),), ()
    live = snapshot.own(names.NETWORK_POLICIES.kind)
    return (), () if live is None else (live,)


def network_policy(metadata: Mapping[str, Any], spec: ModelSpec, rules: NetworkRules) -> Json:
    """The NetworkPolicy (networking.k8s.io/v1) of a model.

    In: pods of the same namespace, and the administrator's peers. Out: to weights that are elsewhere.
    """
    name = metadata["name"]
    peers = [{"podSelector": {}}, *rules.operator, *rules.clients]
    return {
        "apiVersion": names.NETWORK_POLICIES.api_version,
        "kind": names.NETWORK_POLICIES.kind,
        "metadata": child_metadata(metadata, names.child_name(names.NETWORK_POLICIES, name)),
        "spec": {
            "podSelector": {"matchLabels": {"app": names.app_label(name)}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": peers, "ports": _PORTS}],
            "egress": [DNS, *rules.weights] if spec.weights.downloaded else [],
        },
    }
