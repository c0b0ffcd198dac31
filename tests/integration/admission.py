"""Asks the API server what it would make of an object, and stores nothing."""

import re
from typing import Any

import httpx
import pytest
from integration.apiserver import ControlPlane

NAMESPACE = "/apis/squeezeserve.io/v1alpha1/namespaces/default"


def dry_run(plane: ControlPlane, body: dict[str, Any]) -> dict[str, Any]:
    """What the API server would store."""
    answer: dict[str, Any] = plane.client().create(f"{NAMESPACE}/{body['kind'].lower()}s?dryRun=All", body)
    return answer


def assert_refused(plane: ControlPlane, body: dict[str, Any], message: str) -> None:
    """The API server refuses the object, and says so in these words."""
    with pytest.raises(httpx.HTTPStatusError, match=re.escape(message).replace('"', '.?"')):
        dry_run(plane, body)
