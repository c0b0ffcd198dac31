"""Three times what a server can do: what is left, how soon, in how much memory, and with what health."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

import psutil

from bench import load
from bench.beside import Limit
from bench.client import Client
from bench.pictures import Picture
from bench.protocols import Send

TIMES = 3
PROBE = b"GET /v2/health/live HTTP/1.1\r\nHost: bench\r\n\r\n"
PROBE_SECONDS = 1.0
"""Between two probes, and how long one may take: the shortest that Kubernetes knows."""
Json = dict[str, Any]


async def measure(
    send: Send,
    health: Client,
    picture: Picture,
    process: psutil.Process,
    capacity: float,
    seconds: float,
    beside: Limit,
) -> Json:
    """The open loop at three times `capacity`, beside the limit, with a probe each second."""
    before = await asyncio.to_thread(beside.now)
    watched = asyncio.create_task(_watch(health, process))
    flooded = await load.open_loop(send, picture, TIMES * capacity, seconds)
    watched.cancel()
    probes, resident = await watched
    after = await asyncio.to_thread(beside.now)
    quarter = max(1, len(resident) // 4)
    return flooded.summary() | {
        "limit_beside": (before + after) / 2,
        "probes": len(probes),
        "probes_failed": sum(one is None for one in probes),
        "probe_max_ms": max((one for one in probes if one is not None), default=float("nan")),
        "resident_mb_first": statistics.mean(resident[:quarter]),
        "resident_mb_last": statistics.mean(resident[-quarter:]),
    }


async def _watch(health: Client, process: psutil.Process) -> tuple[list[float | None], list[float]]:
    """Until cancelled: each probe's ms (None where it failed), and the resident memory in MB beside it."""
    probes: list[float | None] = []
    resident: list[float] = []
    try:
        while True:
            probes.append(await _probe(health))
            resident.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(PROBE_SECONDS)
    except asyncio.CancelledError:
        return probes, resident


async def _probe(health: Client) -> float | None:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            answer = await health.ask(PROBE)
    except (OSError, ValueError):
        return None
    return 1000 * (time.perf_counter() - began) if answer.status == 200 else None
