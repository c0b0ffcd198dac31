"""Reads a SqueezeModel and everything around it from the API server into a snapshot. Reads only."""

from collections.abc import Awaitable, Callable

from squeeze_operator import names
from squeeze_operator.api import Api, Json, KindMissing
from squeeze_operator.names import Key
from squeeze_operator.snapshot import Options, Served, Snapshot

ServedReader = Callable[[Json, Json], Awaitable[Served | None]]
"""Asks a ready replica about itself: (model, Deployment) to what it says, or None where it is silent."""


async def gather(api: Api, key: Key, options: Options, read_served: ServedReader) -> Snapshot | None:
    """The snapshot of a model, or None where the model is gone. Raises ApiError."""
    namespace, name = key
    model = await api.get(names.MODELS, namespace, name)
    if model is None:
        return None
    children: dict[str, Json] = {}
    kserve_installed = True
    for kind, resource in names.CHILDREN.items():
        child_name = name if resource is names.INFERENCE_SERVICES else names.predictor_name(name)
        try:
            child = await api.get(resource, namespace, child_name)
        except KindMissing:
            if resource is not names.INFERENCE_SERVICES:
                raise
            kserve_installed, child = False, None
        if child is not None:
            children[kind] = child
    deployment = await api.get(names.DEPLOYMENTS, namespace, names.predictor_name(name))
    pods: list[Json] = []
    served = None
    if deployment is not None:
        pods = await api.list(names.PODS, namespace, f"app={names.app_label(name)}")
        served = await read_served(model, deployment)
    return Snapshot(
        model=model,
        options=options,
        kserve_installed=kserve_installed,
        children=children,
        deployment=deployment,
        pods=tuple(pods),
        served=served,
    )
