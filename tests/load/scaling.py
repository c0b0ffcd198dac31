"""Shapes of load on a model that the autoscaler scales: 1 to N to 1 replicas, and no request fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from load import figures, running
from load.options import Options
from load.report import Result, result
from load.running import Json, Run
from load.shapes import Shape, shapes

NAME = "scaled"
LOW = 4.0
SPEC: Json = {
    "weights": {"uri": "builtin://digits"},
    "resources": {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        # So little that a few hundred requests a second need several replicas.
        "limits": {"cpu": "300m", "memory": "1Gi"},
    },
    "scaling": {
        "minReplicas": 1,
        "maxReplicas": 4,
        "target": 60,
        "behavior": {
            "scaleUp": {"stabilizationWindowSeconds": 0},
            "scaleDown": {
                "stabilizationWindowSeconds": 15,
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
            },
        },
    },
}
SETTLE_SECONDS = 240.0
CALM_SECONDS = 40.0
"""How long one replica has to have been enough: a start takes CPU time too, and is measured late."""


async def measure(options: Options) -> AsyncIterator[Result]:
    """Each shape that is asked for, on one model."""
    with options.namespace() as namespace:
        digest = await asyncio.to_thread(running.start, namespace, NAME, SPEC)
        for shape in _chosen(options):
            async with running.watched(namespace, NAME, digest, options.display) as run:
                yield await _measure(run, shape)


def _chosen(options: Options) -> list[Shape]:
    every = shapes(LOW, options.rate, options.seconds)
    return [shape for name, shape in every.items() if name in options.wanted]


async def _measure(run: Run, shape: Shape) -> Result:
    run.phase("one replica")
    async with run.steadily(LOW):
        await run.until(lambda _: _calm(run), SETTLE_SECONDS, "calm at one replica")
    began = run.phase(shape.name)
    await run.send(shape.due())
    run.phase("back to one")
    async with run.steadily(LOW):
        await run.until(lambda said: said.ready == said.wanted == 1, SETTLE_SECONDS, "at one replica")
    rises, falls = began + shape.rises_at, began + shape.falls_at
    peak = max(sample.said.ready for sample in run.samples if sample.said)
    timings = {
        "seconds_to_scale": figures.seconds_until(run.samples, rises, 2),
        "seconds_to_most": figures.seconds_until(run.samples, rises, peak),
        "seconds_back_to_one": figures.seconds_until(run.samples, falls, 1, fewer=True),
        "rate": shape.points,
    }
    found = result(shape.name, run, timings)
    if peak < 2:
        found.broken.append(f"{shape.name}: never more than one replica")
    return found


def _calm(run: Run) -> bool:
    """Whether nothing but one replica was there for a while."""
    recent = [one.said for one in run.samples if one.at > time.monotonic() - CALM_SECONDS]
    long_enough = time.monotonic() - run.samples[0].at > CALM_SECONDS
    return long_enough and all(said is None or said.wanted == said.ready == 1 for said in recent)
