"""Reads a SqueezeTraining and everything around it into a snapshot. Reads only."""

import time
from collections.abc import Awaitable, Callable

from squeeze_operator import names
from squeeze_operator.api import Json
from squeeze_operator.cache import Reads
from squeeze_operator.names import Key
from squeeze_operator.ownership import controls
from squeeze_operator.snapshot import Options
from squeeze_operator.spec import SpecError
from squeeze_operator.training.snapshot import TrainingSnapshot
from squeeze_operator.training.spec import parse_training

ProgressReader = Callable[[tuple[Json, ...]], Awaitable[Json | None]]
"""Asks the leading one of these pods how far it is; None where it is silent."""


async def gather(
    reads: Reads, key: Key, options: Options, read_progress: ProgressReader
) -> TrainingSnapshot | None:
    """The snapshot of a training, or None where it is gone. Raises ApiError."""
    training = await reads.get(names.TRAININGS, key.namespace, key.name)
    if training is None:
        return None
    children: dict[str, Json] = {}
    for kind, resource in names.TRAINING_CHILDREN.items():
        child = await reads.get(resource, key.namespace, names.workers_name(key.name))
        if child is not None:
            children[kind] = child
    job = children.get(names.JOBS.kind)
    pods: tuple[Json, ...] = ()
    if job is not None:
        pods = tuple(pod for pod in await reads.workers(key) if controls(job, pod))
    return TrainingSnapshot(
        training=training,
        options=options,
        now=time.time(),
        children=children,
        pods=pods,
        claims={} if job else await _claims(reads, key, training),
        progress=await read_progress(pods),
    )


async def _claims(reads: Reads, key: Key, training: Json) -> dict[str, Json]:
    """The claims of a training without a Job; none of one that is over or cannot be read."""
    if (training.get("status") or {}).get("completionTime"):
        return {}
    try:
        wanted = parse_training(training.get("spec") or {}).claims
    except SpecError:
        return {}
    found = {name: await reads.get(names.CLAIMS, key.namespace, name) for name in wanted}
    return {name: claim for name, claim in found.items() if claim is not None}
