"""What may reach a training's workers, and what they may reach: one NetworkPolicy a training.

As for models: policies add up, so a team opens more by one of its own.
"""

from collections.abc import Mapping
from typing import Any

from squeeze_operator import names
from squeeze_operator.isolation import DNS
from squeeze_operator.ownership import controls
from squeeze_operator.snapshot import NetworkRules
from squeeze_operator.training.desired import PAGE_PORT, child_metadata
from squeeze_operator.training.snapshot import TrainingSnapshot
from squeeze_operator.training.spec import TrainingSpec

Json = dict[str, Any]


def isolation(snapshot: TrainingSnapshot, spec: TrainingSpec) -> tuple[Json, ...]:
    """The wanted NetworkPolicy; none where they are off, or somebody else holds its name."""
    rules, live = snapshot.options.network_rules, snapshot.children.get(names.NETWORK_POLICIES.kind)
    if rules is None or (live is not None and not controls(snapshot.training, live)):
        return ()
    return (network_policy(snapshot.training["metadata"], spec, rules),)


def open_again(snapshot: TrainingSnapshot) -> tuple[Mapping[str, Any], ...]:
    """The live NetworkPolicy of ours that is no longer wanted."""
    live = snapshot.children.get(names.NETWORK_POLICIES.kind)
    off = snapshot.options.network_rules is None
    return (live,) if off and live is not None and controls(snapshot.training, live) else ()


def network_policy(metadata: Mapping[str, Any], spec: TrainingSpec, rules: NetworkRules) -> Json:
    """The NetworkPolicy (networking.k8s.io/v1) of a training.

    In: its own workers, and the operator, which asks for the progress. Out: its own workers, names, and what
    is elsewhere of data, weights and output. Workers meet on the rendezvous port and agree there on ports of
    PyTorch's choice, so between them all are open.
    """
    selector = {"matchLabels": {names.TRAINING_LABEL: metadata["name"]}}
    workers = [{"podSelector": selector}]
    asked = {"from": list(rules.operator), "ports": [{"port": PAGE_PORT, "protocol": "TCP"}]}
    return {
        "apiVersion": names.NETWORK_POLICIES.api_version,
        "kind": names.NETWORK_POLICIES.kind,
        "metadata": child_metadata(metadata),
        "spec": {
            "podSelector": selector,
            "policyTypes": ["Ingress", "Egress"],
            # Without a peer a rule would let everybody in.
            "ingress": [{"from": workers}, *([asked] if rules.operator else [])],
            "egress": [{"to": workers}, DNS, *(rules.weights if spec.remote else ())],
        },
    }
