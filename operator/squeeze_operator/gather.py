"""Reads a SqueezeModel and everything around it into a snapshot. Reads only."""

import time
from collections.abc import Awaitable, Callable, Sequence

from squeeze_operator import names
from squeeze_operator.api import Json, KindMissing
from squeeze_operator.cache import Reads
from squeeze_operator.names import Key, Resource
from squeeze_operator.scalehistory import ScaleHistory
from squeeze_operator.slices import asks_for_sleep, ready_addresses
from squeeze_operator.snapshot import Options, Served, Snapshot

ServedReader = Callable[[Json, Json, Sequence[Json]], Awaitable[Served | None]]
"""Asks a replica about itself: (model, Deployment, pods) to what it says, or None where all are silent."""


async def gather(
    reads: Reads, key: Key, options: Options, read_served: ServedReader, history: ScaleHistory
) -> Snapshot | None:
    """The snapshot of a model, or None where the model is gone. Raises ApiError."""
    namespace, name = key.namespace, key.name
    model = await reads.get(names.MODELS, namespace, name)
    if model is None:
        return None
    children: dict[str, Json] = {}
    missing: set[Resource] = set()
    for kind, resource in names.CHILDREN.items():
        try:
            child = await reads.get(resource, namespace, names.child_name(resource, name))
        except KindMissing:
            if resource not in names.OPTIONAL:
                raise
            missing.add(resource)
            continue
        if child is not None:
            children[kind] = child
    activators: tuple[str, ...] = ()
    if options.activator is not None:
        stand_in = await reads.get(
            names.ENDPOINT_SLICES, namespace, names.child_name(names.ENDPOINT_SLICES, name)
        )
        if stand_in is not None:
            children[names.ENDPOINT_SLICES.kind] = stand_in
        if stand_in is not None or asks_for_sleep(model):
            activators = ready_addresses(await reads.endpoint_slices(options.activator))
    deployment = await reads.get(names.DEPLOYMENTS, namespace, names.predictor_name(name))
    pods: list[Json] = []
    served = None
    if deployment is not None:
        pods = await reads.pods(key)
        served = await read_served(model, deployment, pods)
    autoscaler = children.get(names.AUTOSCALERS.kind)
    return Snapshot(
        model=model,
        options=options,
        now=time.time(),
        kserve_installed=names.INFERENCE_SERVICES not in missing,
        keda_installed=names.SCALED_OBJECTS not in missing,
        children=children,
        kserve_autoscaler=None
        if autoscaler
        else await reads.get(names.AUTOSCALERS, namespace, names.predictor_name(name)),
        activators=activators,
        scalings=history.note(str(model["metadata"]["uid"]), autoscaler) if autoscaler else (),
        deployment=deployment,
        pods=tuple(pods),
        served=served,
        training=await _training(reads, namespace, model),
    )


async def _training(reads: Reads, namespace: str, model: Json) -> Json | None:
    """The training that the model refers to, if it is there; the spec has not been checked yet."""
    weights = (model.get("spec") or {}).get("weights")
    reference = weights.get("trainingRef") if isinstance(weights, dict) else None
    name = reference.get("name") if isinstance(reference, dict) else None
    if not name:
        return None
    try:
        return await reads.get(names.TRAININGS, namespace, str(name))
    except KindMissing:
        return None
