"""Three times what a server can do: what is left, how soon, in how much memory, and with what health."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import psutil

from bench import load
from bench.client import Client
from bench.pictures import Picture
from bench.plan import Plan
from bench.protocols import Send

TIMES = 3
STRETCHES = 2
PROBE = b"GET /v2/health/live HTTP/1.1\r\nHost: bench\r\n\r\n"
PROBE_SECONDS = 1.0
"""Between two probes, and how long one may take: the shortest that Kubernetes knows."""
Json = dict[str, Any]


async def measure(
    send: Send, health: Client, picture: Picture, process: psutil.Process, capacity: float, plan: Plan
) -> Json:
    """The open loop at three times `capacity`, with a probe each second, in stretches.

    Before and after each stretch the closed loop tells what the server can do in those minutes:
    `goodput_vs_capacity` is the median over the stretches.
    """
    flooded, shares, watched = load.Result(0.0), [], Watched()
    before = await load.capacity(send, picture, plan.seconds)
    for _ in range(STRETCHES):
        watching = asyncio.create_task(_watch(health, process, watched))
        stretch = await load.open_loop(send, picture, TIMES * capacity, plan.overload_seconds / STRETCHES)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        after = await load.capacity(send, picture, plan.seconds)
        shares.append(stretch.summary()["per_second"] / statistics.mean((before, after)))
        flooded.add(stretch)
        before = after
    return flooded.summary() | {"goodput_vs_capacity": statistics.median(shares)} | watched.summary()


@dataclass(frozen=True)
class Watched:
    """Each probe's ms (None where it failed), and the resident memory in MB beside it."""

    probes: list[float | None] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)

    def summary(self) -> Json:
        """The worst probe, and memory in the first quarter and in the last."""
        quarter = max(1, len(self.resident) // 4)
        return {
            "probes": len(self.probes),
            "probes_failed": sum(one is None for one in self.probes),
            "probe_max_ms": max((one for one in self.probes if one is not None), default=float("nan")),
            "resident_mb_first": statistics.mean(self.resident[:quarter]),
            "resident_mb_last": statistics.mean(self.resident[-quarter:]),
        }


async def _watch(health: Client, process: psutil.Process, watched: Watched) -> None:
    """Until cancelled."""
    while True:
        watched.probes.append(await _probe(health))
        watched.resident.append(process.memory_info().rss / 1e6)
        await asyncio.sleep(PROBE_SECONDS)


async def _probe(health: Client) -> float | None:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            answer = await health.ask(PROBE)
    except (OSError, ValueError):
        return None
    return 1000 * (time.perf_counter() - began) if answer.status == 200 else None
