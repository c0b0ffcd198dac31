"""Reads a SqueezeModel and everything around it from the API server into a snapshot. Reads only."""

import time
from collections.abc import Awaitable, Callable, Sequence

from squeeze_operator import names
from squeeze_operator.api import Api, Json, KindMissing
from squeeze_operator.names import Key
from squeeze_operator.scalehistory import ScaleHistory
from squeeze_operator.snapshot import Options, Served, Snapshot
from squeeze_operator.spec import KEDA_METRICS

ServedReader = Callable[[Json, Json, Sequence[Json]], Awaitable[Served | None]]
"""Asks a replica about itself: (model, Deployment, pods) to what it says, or None where all are silent."""


async def gather(
    api: Api, key: Key, options: Options, read_served: ServedReader, history: ScaleHistory
) -> Snapshot | None:
    """The snapshot of a model, or None where the model is gone. Raises ApiError."""
    namespace, name = key
    model = await api.get(names.MODELS, namespace, name)
    if model is None:
        return None
    children: dict[str, Json] = {}
    kserve_installed = True
    for kind, resource in names.CHILDREN.items():
        try:
            child = await api.get(resource, namespace, names.child_name(resource, name))
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
        served = await read_served(model, deployment, pods)
    autoscaler = children.get(names.AUTOSCALERS.kind)
    return Snapshot(
        model=model,
        options=options,
        now=time.time(),
        kserve_installed=kserve_installed,
        keda_installed=_metric(model) in KEDA_METRICS and await api.discovers(names.SCALED_OBJECTS),
        children=children,
        kserve_autoscaler=None
        if autoscaler
        else await api.get(names.AUTOSCALERS, namespace, names.predictor_name(name)),
        scalings=history.note(autoscaler) if autoscaler else (),
        deployment=deployment,
        pods=tuple(pods),
        served=served,
    )


def _metric(model: Json) -> object:
    """The metric as it is stored; the spec has not been checked yet."""
    scaling = (model.get("spec") or {}).get("scaling")
    return scaling.get("metric") if isinstance(scaling, dict) else None
