"""Who controls an object, by uid and not by name."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def controls(owner: Json, child: Json) -> bool:
    """Whether `owner` is the object's controller."""
    uid = owner["metadata"]["uid"]
    references = child["metadata"].get("ownerReferences") or []
    return any(reference.get("controller") and reference.get("uid") == uid for reference in references)
