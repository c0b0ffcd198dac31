"""Where the time of one request goes: one client and the traced predictor."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from bench import contestants, load, processes, protocols
from bench.client import Client
from bench.measure import first_answer, run
from bench.pictures import Picture
from bench.plan import OUT, SERVER_CORE

IN_THREAD = ("decode", "resize", "infer", "answer")
SHOWN = ("parse HTTP", "queue", "hand over", *IN_THREAD, "write", "rest")


def measure(weights: str, picture: Picture, seconds: float) -> dict[str, float]:
    """Milliseconds of each part of a request, the median over the requests of one client."""
    port, trace = processes.free_port(), OUT / "trace.json"
    server = contestants.ours(weights, "bench.launchers.traced")
    command = [*server.started(Path(sys.executable), port), "--drain-seconds=0"]
    variables = {**processes.threads(1), "BENCH_TRACE": str(trace)}
    with processes.running(
        processes.pinned((SERVER_CORE,), command), variables, OUT / "traced.log"
    ) as process:
        whole = run(_alone(port, server.path, picture, seconds, process))
    return parts(json.loads(trace.read_text()), whole)


async def _alone(port: int, path: str, picture: Picture, seconds: float, process: psutil.Process) -> float:
    """The median latency of one client, in ms."""
    send = protocols.over_http(Client("127.0.0.1", port), protocols.RAW, path)
    await first_answer(send, picture, process)
    return (await load.closed_loop(send, picture, 1, seconds)).summary()["p50_ms"]


def parts(requests: Sequence[Mapping[str, float]], whole_ms: float) -> dict[str, float]:
    """Medians in ms by part; `rest` is what is left of the whole: sockets, routing, event loop, client.

    Requests without inference were refused while the model was loading.
    """
    answered = [request for request in requests if "infer" in request]
    found = {}
    for part in SHOWN[:-1]:
        values = [_hand_over(one) if part == "hand over" else one.get(part, 0.0) for one in answered]
        found[part] = 1000 * statistics.median(values)
    return found | {"rest": max(0.0, whole_ms - sum(found.values()))}


def _hand_over(request: Mapping[str, float]) -> float:
    """What a worker thread took beyond its work: waking it up, and waking up the event loop after it."""
    return request["thread"] - sum(request.get(part, 0.0) for part in IN_THREAD)
