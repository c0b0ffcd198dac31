"""What the operator's account asked an API server for, by the server's own audit log."""

import json
from pathlib import Path

import yaml
from integration.apiserver import OPERATOR_USER

Right = tuple[str, str, str]
"""API group, resource (with its subresource), verb."""


def flags(folder: Path) -> tuple[str, str]:
    """kube-apiserver's flags that make it log the operator's requests in a folder."""
    rules = [{"level": "Metadata", "users": [OPERATOR_USER], "omitStages": ["RequestReceived"]}]
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [*rules, {"level": "None"}]}
    (folder / "audit-policy.yaml").write_text(yaml.safe_dump(policy))
    return f"--audit-policy-file={folder}/audit-policy.yaml", f"--audit-log-path={folder}/audit.log"


def used(folder: Path) -> set[Right]:
    """The rights that requests needed and had."""
    found = set[Right]()
    for line in (folder / "audit.log").read_text().splitlines():
        event = json.loads(line)
        reference = event.get("objectRef")
        if reference is None or event.get("responseStatus", {}).get("code", 200) == 403:
            continue
        resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
        found.add((reference.get("apiGroup", ""), resource, event["verb"]))
    return found
