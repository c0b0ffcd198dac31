"""Sends pictures and checks every answer: closed loop (as fast as answers come) and open loop (by the clock).

In the open loop a request counts from when it was due, not from when it could be sent, so a server that
stalls cannot hide it (no coordinated omission). The result also tells the CPU time that sending took, since
on a small machine the server has to do without it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np

from bench.pictures import Picture
from bench.protocols import Send, Shed

CLIENTS = 8
"""So many never leave a server of a core or two idle, and are never refused."""
PAUSE_SECONDS = 0.01
"""After an answer that does not count, so that a server which refuses at once is not flooded."""


@dataclass
class Result:
    """Seconds from due (or sent) to answered, of right answers; `wrong` holds what else came but 503."""

    duration: float
    latencies: list[float] = field(default_factory=list)
    shed: int = 0
    wrong: list[str] = field(default_factory=list)
    cpu: float = 0.0

    def add(self, other: Result) -> None:
        """Counts another stretch of the same measurement in."""
        self.duration += other.duration
        self.latencies += other.latencies
        self.shed += other.shed
        self.wrong += other.wrong
        self.cpu += other.cpu

    def summary(self) -> dict[str, float]:
        """Requests a second, latencies in ms, and the share of one core that sending took."""
        ms = np.array(self.latencies or [float("nan")]) * 1000
        return {
            "per_second": len(self.latencies) / self.duration,
            "p50_ms": float(np.percentile(ms, 50)),
            "p99_ms": float(np.percentile(ms, 99)),
            "answers": len(self.latencies),
            "shed": self.shed,
            "wrong": len(self.wrong),
            "load_cores": self.cpu / self.duration,
        }


async def closed_loop(send: Send, picture: Picture, concurrency: int, seconds: float) -> Result:
    """`concurrency` clients, each sending its next picture when it has its answer."""
    result = Result(seconds)
    began, cpu = time.perf_counter(), time.process_time()
    end = began + seconds

    async def client() -> None:
        while (sent := time.perf_counter()) < end:
            await _one(send, picture, sent, result)

    await asyncio.gather(*(client() for _ in range(concurrency)))
    result.duration, result.cpu = time.perf_counter() - began, time.process_time() - cpu
    return result


async def capacity(send: Send, picture: Picture, seconds: float) -> float:
    """Pictures a second, in the closed loop."""
    return (await closed_loop(send, picture, CLIENTS, seconds)).summary()["per_second"]


async def open_loop(send: Send, picture: Picture, per_second: float, seconds: float) -> Result:
    """One picture each 1/per_second seconds, whether or not the last was answered."""
    result, tasks = Result(seconds), []
    began, cpu = time.perf_counter(), time.process_time()
    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(_one(send, picture, due, result)))
    await asyncio.gather(*tasks)
    result.duration, result.cpu = time.perf_counter() - began, time.process_time() - cpu
    return result


async def _one(send: Send, picture: Picture, began: float, result: Result) -> None:
    try:
        class_id = await send(picture)
    except Shed:
        result.shed += 1
        await asyncio.sleep(PAUSE_SECONDS)
        return
    except (OSError, ValueError, KeyError) as error:
        result.wrong.append(f"{type(error).__name__}: {error}"[:200])
        await asyncio.sleep(PAUSE_SECONDS)
        return
    if class_id == picture.class_id:
        result.latencies.append(time.perf_counter() - began)
    else:
        result.wrong.append(f"class {class_id}")
