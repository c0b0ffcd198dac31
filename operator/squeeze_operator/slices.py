"""EndpointSlices: who behind a Service takes requests, and the one by which the activator stands in. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from squeeze_operator import names
from squeeze_operator.desired import child_metadata

Json = dict[str, Any]
Live = Mapping[str, Any]


def asks_for_sleep(model: Live) -> bool:
    """Whether a stored model, of any shape, says minReplicas: 0."""
    spec = model.get("spec")
    scaling = spec.get("scaling") if isinstance(spec, Mapping) else None
    return isinstance(scaling, Mapping) and scaling.get("minReplicas") == 0


def ready_addresses(slices: Iterable[Live]) -> tuple[str, ...]:
    """The addresses that take new requests, sorted; of IPv4 alone where there are some of both kinds."""
    by_type: dict[str, set[str]] = {}
    for one in slices:
        for endpoint in one.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            # An unknown state counts as ready, as the API says.
            if conditions.get("ready") is not False and not conditions.get("terminating"):
                by_type.setdefault(str(one.get("addressType")), set()).update(endpoint["addresses"])
    return tuple(sorted(by_type.get("IPv4") or by_type.get("IPv6") or ()))


def stand_in(metadata: Live, activators: Iterable[str]) -> Json:
    """The EndpointSlice (discovery.k8s.io/v1) that puts the activator behind the Service of a model.

    It has the port of HTTP alone: nothing is held of gRPC.
    """
    name, addresses = metadata["name"], list(activators)
    common = child_metadata(metadata, names.child_name(names.ENDPOINT_SLICES, name))
    labels = {
        names.SERVICE_NAME_LABEL: names.predictor_name(name),
        names.SLICE_MANAGER_LABEL: names.FIELD_MANAGER,
        names.ACTIVATOR_LABEL: "stands-in",
    }
    return {
        "apiVersion": names.ENDPOINT_SLICES.api_version,
        "kind": names.ENDPOINT_SLICES.kind,
        "metadata": common | {"labels": common["labels"] | labels},
        "addressType": "IPv6" if any(":" in address for address in addresses) else "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "ports": [{"name": names.HTTP_PORT_NAME, "port": names.ACTIVATOR_PORT, "protocol": "TCP"}],
    }
