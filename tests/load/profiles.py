"""The three profiles under one load: latency, throughput, and what their replicas cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from load import plots, running
from load.options import Options
from load.report import FOLDER, Result, result
from load.running import Json
from load.shapes import Shape

NAME = "profiled"
SCALE = 4
"""A quarter of the profiles' CPU, so that they fit beside each other on two cores; all else is theirs."""
CPU_MILLIS = {"latency": (500, 2000), "throughput": (2000, 2000), "cost": (250, 1000)}
"""Requests and limits of the profiles, as the operator sets them."""
MAX_REPLICAS = {"latency": 4, "throughput": 2, "cost": 2}


def spec(profile: str) -> Json:
    """The profile as it is, with a quarter of its CPU."""
    requests, limits = (f"{millis // SCALE}m" for millis in CPU_MILLIS[profile])
    return {
        "weights": {"uri": "builtin://digits"},
        "profile": profile,
        "resources": {"requests": {"cpu": requests}, "limits": {"cpu": limits}},
        "scaling": {"maxReplicas": MAX_REPLICAS[profile]},
    }


def load(rate: float, seconds: float) -> Shape:
    """Quiet, then busy, then quiet."""
    low, first, last = rate / 10, 0.15 * seconds, 0.85 * seconds
    points = ((0.0, low), (first, low), (first, rate), (last, rate), (last, low), (seconds, low))
    return Shape("profiles", points)


async def measure(options: Options) -> AsyncIterator[Result]:
    """One profile after the other, each alone on the cluster; draws what is known of all of them."""
    shape = load(options.rate, 1.5 * options.seconds)
    for profile in [name for name in CPU_MILLIS if name in options.wanted] or CPU_MILLIS:
        found = await _measure(options, profile, shape)
        yield found
    plots.compared(FOLDER / "profiles.svg", _known())


async def _measure(options: Options, profile: str, shape: Shape) -> Result:
    with options.namespace() as namespace:
        digest = await asyncio.to_thread(running.start, namespace, NAME, spec(profile))
        async with running.watched(namespace, NAME, digest, options.display) as run:
            least = run.namespace.model(NAME)["status"]["effective"]["minReplicas"]
            await run.until(lambda said: said.ready >= least, 120, "at its least replicas")
            run.phase(profile)
            await run.send(shape.due())
        found = result(f"profile-{profile}", run)
    figures = found.figures
    right = figures["requests"] - figures["failed"] - figures["shed"]
    figures["per_second"] = round(right / shape.seconds, 1)
    figures["requested_cpu_seconds"] = round(
        figures["replica_seconds"] * CPU_MILLIS[profile][0] / SCALE / 1000, 1
    )
    return found


def _known() -> dict[str, Json]:
    """The figures of each profile that was ever measured here."""
    files = {profile: FOLDER / f"profile-{profile}.json" for profile in CPU_MILLIS}
    return {profile: json.loads(file.read_text()) for profile, file in files.items() if file.exists()}
