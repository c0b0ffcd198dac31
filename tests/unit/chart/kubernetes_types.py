"""Checks an object against the types of the Kubernetes API, as the official client's models give them.

The models refuse unknown fields, missing required ones and wrong types. They do not know the API
server's validation (name rules, immutability, CEL): tests/integration/chart asks a real one.
"""

from typing import Any

from kubernetes import client
from pydantic import ValidationError


def problems(item: dict[str, Any]) -> list[str]:
    """What is wrong with an object: one line a finding, empty where all is well.

    Raises LookupError for a kind that the client does not know.
    """
    try:
        _model(item["apiVersion"], item["kind"]).model_validate(item)
    except ValidationError as error:
        return [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
    return []


def _model(api_version: str, kind: str) -> Any:
    version = api_version.rpartition("/")[2]
    name = version[0].upper() + version[1:] + kind
    if not hasattr(client, name):
        raise LookupError(f"the Kubernetes client knows no {api_version} {kind}")
    return getattr(client, name)
