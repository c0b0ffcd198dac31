"""The load generator in a pod: the same pod of a model, through the gateway and directly, in turns.

`python -m bench.in_cluster FOLDER` reads FOLDER/task.json and FOLDER/picture, and prints a JSON object with
the figures of each way. It needs what the predictor's image holds.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import load, protocols
from bench.client import Client
from bench.load import Result
from bench.pictures import Picture
from bench.protocols import Send

ROUTE_SECONDS = 60.0
CLIENTS = (1, 8)
"""One shows what a way adds to an answer, several what it takes from a pod that has all it can do."""


@dataclass(frozen=True)
class Way:
    """One way to the pod: an address, and the Host header that a route goes by."""

    address: str
    port: int
    host: str


@dataclass(frozen=True)
class Task:
    """What to send, over which ways, and for how long; `ways` are taken in turns, `rounds` times each."""

    path: str
    class_id: int
    media_type: str
    seconds: float
    rounds: int
    ways: dict[str, Way]


async def measure(task: Task, picture: Picture) -> dict[str, dict[str, dict[str, float]]]:
    """The closed loop over each way, by the number of clients."""
    sends: dict[str, Send] = {
        name: protocols.over_http(Client(way.address, way.port), protocols.RAW, task.path, way.host)
        for name, way in task.ways.items()
    }
    for send in sends.values():
        await _warm_up(send, picture)
    totals = {name: {clients: Result(0.0) for clients in CLIENTS} for name in sends}
    for number in range(task.rounds):
        for clients in CLIENTS:
            for name in list(sends)[:: 1 if number % 2 == 0 else -1]:
                found = await load.closed_loop(sends[name], picture, clients, task.seconds)
                totals[name][clients].add(found)
    return {
        name: {str(clients): total.summary() for clients, total in by_clients.items()}
        for name, by_clients in totals.items()
    }


async def _warm_up(send: Send, picture: Picture) -> None:
    """Waits until the gateway has learnt its route, seconds after the model is Ready. Raises TimeoutError."""
    async with asyncio.timeout(ROUTE_SECONDS):
        while not (await load.closed_loop(send, picture, 1, 1.0)).latencies:
            pass


def read(folder: Path) -> tuple[Task, Picture]:
    """The task and its picture."""
    told = json.loads((folder / "task.json").read_text())
    told["ways"] = {name: Way(**way) for name, way in told["ways"].items()}
    task = Task(**told)
    return task, Picture("picture", (folder / "picture").read_bytes(), task.class_id, task.media_type)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(*read(Path(sys.argv[1]))))))
