"""Tells whether a live object still says what we want, so that a converged model costs no write.

A live object holds more than we wrote: defaults, other managers' fields, status. `differs` looks only at what
we want and at what our field manager still owns without wanting it any more.
Source: Kubernetes, "Server-Side Apply", field management.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from squeeze_operator.names import FIELD_MANAGER
from squeeze_operator.quantity import same_quantity

_OURS_ALONE = frozenset({"triggers"})
"""Lists of named objects that the API holds as one value: no managed field tells of one object in them."""


def differs(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Whether applying `wanted` would change the live object."""
    return (
        not covers(live, wanted)
        or _led_by_another(wanted, live)
        or any(
            _leftover(entry.get("fieldsV1") or {}, wanted)
            for entry in live["metadata"].get("managedFields") or []
            if entry.get("manager") == FIELD_MANAGER
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        )
    )


def covers(live: Any, wanted: Any) -> bool:
    """Whether everything in `wanted` stands in `live`, which may hold more.

    Lists of named objects (containers, env, volumes) are matched by name, other lists position by position;
    amounts are compared by value, because the API server rewrites "1000m" to "1".
    """
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            # The API server stores no empty list where none means the same.
            covers(live[key], value) and _whole(key, live[key], value) if key in live else value == []
            for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return isinstance(live, list | tuple) and _covers_list(live, wanted)
    return bool(live == wanted) or same_quantity(live, wanted)


def _whole(key: str, live: Any, wanted: Any) -> bool:
    """Whether a list to which nobody else adds holds nothing that is no longer wanted."""
    return key not in _OURS_ALONE or len(live) == len(wanted)


def _led_by_another(wanted: Any, live: Any) -> bool:
    """Whether somebody's container comes before ours, where KServe looks for it; `live` covers `wanted`."""
    if not isinstance(wanted, Mapping):
        return False
    if "containers" in wanted:
        return bool(live["containers"][0].get("name") != wanted["containers"][0]["name"])
    return any(_led_by_another(below, live[key]) for key, below in wanted.items() if key in live)


def _covers_list(live: Sequence[Any], wanted: Sequence[Any]) -> bool:
    if wanted and all(isinstance(item, Mapping) and "name" in item for item in wanted):
        by_name = {item["name"]: item for item in live if isinstance(item, Mapping) and "name" in item}
        return all(item["name"] in by_name and covers(by_name[item["name"]], item) for item in wanted)
    return len(live) == len(wanted) and all(map(covers, live, wanted))


def _leftover(fields: Mapping[str, Any], wanted: Any) -> bool:
    """Whether a managedFields set names a field that `wanted` does not have (any more)."""
    return any(_missing(path, below, wanted) for path, below in fields.items())


def _missing(path: str, below: Mapping[str, Any], wanted: Any) -> bool:
    kind, _, rest = path.partition(":")
    match kind:
        case "f":
            return not isinstance(wanted, Mapping) or rest not in wanted or _leftover(below, wanted[rest])
        case "k":
            keys = json.loads(rest)
            found = [
                item
                for item in (wanted if isinstance(wanted, list) else [])
                if all(item.get(key) == value for key, value in keys.items())
            ]
            return not found or _leftover(below, found[0])
        case "v":
            return not isinstance(wanted, list) or json.loads(rest) not in wanted
        case _:  # "." is the object itself, "i" an index: both say nothing that the rest does not
            return False
