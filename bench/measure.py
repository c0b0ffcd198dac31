"""Measures one server: how soon it answers, how much, how fast, and with how much CPU time and memory."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import grpc
import psutil
import uvloop

from bench import contestants, load, overload, processes, protocols, report, steady
from bench.beside import Limit
from bench.client import Client
from bench.contestants import Contestant
from bench.pictures import Picture
from bench.plan import OUT, SERVER_CORE, Plan
from bench.protocols import Send, Shed

START_SECONDS = 180.0
Json = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Bench:
    """What every measurement needs: the plan, the weights, and the limit to measure beside."""

    plan: Plan
    weights: str
    beside: Limit


def run(measurement: Coroutine[Any, Any, T]) -> T:
    """Its result, on the cheapest event loop there is."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measurement)


class Started(NamedTuple):
    """A running predictor: how it is asked, and its process."""

    send: Send
    process: psutil.Process


@contextlib.contextmanager
def started(
    weights: str, log: str, module: str = "squeeze_predictor", cores: Sequence[int] = (SERVER_CORE,)
) -> Iterator[Started]:
    """The predictor, or a variant of it, with as many threads as cores."""
    with serving(weights, contestants.ours(weights, module), OUT / log, cores) as server:
        yield server


def ours(bench: Bench, chosen: Sequence[Picture]) -> Json:
    """The predictor with its defaults on one core, by every protocol."""
    ports = processes.free_port(), processes.free_port()
    server = contestants.ours(bench.weights)
    command = processes.pinned((SERVER_CORE,), server.started(processes.environment(None), *ports))
    with processes.running(command, processes.threads(1), OUT / "ours.log") as process:
        return run(_ours(bench, server.path, ports, chosen, process))


async def _ours(
    bench: Bench,
    path: str,
    ports: tuple[int, int],
    chosen: Sequence[Picture],
    process: psutil.Process,
) -> Json:
    client = Client("127.0.0.1", ports[0])
    raw = protocols.over_http(client, protocols.RAW, path)
    found: Json = {"first_answer_s": await first_answer(raw, chosen[0], process)}
    found["pictures"] = {one.name: await closed(bench, raw, one, process) for one in chosen}
    others = await _other_protocols(bench, client, path, ports[1], chosen[0], process)
    found["protocols"] = {"raw": found["pictures"][chosen[0].name], **others}
    found["open_70_percent"] = await steady.measure(raw, chosen[0], bench.beside, bench.plan)
    capacity, health = report.rate(found["protocols"]["raw"]), Client("127.0.0.1", ports[0])
    found["overload_3x"] = await overload.measure(raw, health, chosen[0], process, capacity, bench.plan)
    found["resident_mb"] = processes.resident_mb(process)
    return found


async def _other_protocols(
    bench: Bench, client: Client, path: str, grpc_port: int, picture: Picture, process: psutil.Process
) -> Json:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        sends = {
            "V1": protocols.over_http(client, protocols.V1, path),
            "V2 binary": protocols.over_http(client, protocols.V2_BINARY, "/v2/models/squeezenet/infer"),
            "gRPC": protocols.grpc_v2(channel, "squeezenet"),
        }
        return {name: await closed(bench, send, picture, process) for name, send in sends.items()}


def peer(bench: Bench, one: Contestant, picture: Picture) -> Json:
    """A peer in the closed loop; one that cannot be had is named with the reason.

    With dynamic batching it is measured with the most clients alone, since batches need a queue.
    """
    about = {"engine": one.engine, "batch": one.batch}
    try:
        with serving(bench.weights, one, log_of(one)) as server:
            return about | run(_peer(bench, one, server, picture))
    except subprocess.CalledProcessError as error:
        return about | {"failed": f"cannot be installed: {error}"}
    except TimeoutError as error:
        return about | {"failed": f"{error}: see {log_of(one).name}"}


@contextlib.contextmanager
def serving(
    weights: str, one: Contestant, log: Path, cores: Sequence[int] = (SERVER_CORE,)
) -> Iterator[Started]:
    """A contestant with as many threads as cores. Raises CalledProcessError where it cannot be installed."""
    python, port = processes.environment(one.requirements), processes.free_port()
    command = processes.pinned(cores, one.started(python, port))
    variables = one.variables(weights, port) | processes.threads(len(cores))
    with processes.running(command, variables, log) as process:
        yield Started(protocols.over_http(Client("127.0.0.1", port), one.protocol, one.path), process)


def log_of(one: Contestant) -> Path:
    """Where what a contestant prints is kept."""
    return OUT / f"{one.title.replace(', ', '-').replace(' ', '-')}.log"


async def _peer(bench: Bench, one: Contestant, server: Started, picture: Picture) -> Json:
    send, process = server
    seconds = await first_answer(send, picture, process)
    measured = await closed(bench, send, picture, process, most=one.batch > 1)
    memory = processes.resident_mb(process)
    return {"first_answer_s": seconds, "concurrency": measured, "resident_mb": memory}


async def warmed_up(server: Started, picture: Picture) -> None:
    """Waits for the first answer, and asks for a second more."""
    await first_answer(server.send, picture, server.process)
    await load.capacity(server.send, picture, 1.0)


async def first_answer(send: Send, picture: Picture, process: psutil.Process) -> float:
    """Seconds until the first right answer. Raises TimeoutError, at once where the process has ended."""
    began = time.perf_counter()
    while time.perf_counter() - began < START_SECONDS:
        with contextlib.suppress(OSError, ValueError, KeyError, Shed):
            if await send(picture) == picture.class_id:
                return time.perf_counter() - began
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            raise TimeoutError("it ended before it answered")
        await asyncio.sleep(0.02)
    raise TimeoutError(f"no right answer within {START_SECONDS:.0f} s")


async def closed(
    bench: Bench, send: Send, picture: Picture, process: psutil.Process, most: bool = False
) -> Json:
    """The closed loop at each concurrency, or with the `most` clients alone.

    After a short warm-up, and with the limit before and after each.
    """
    plan = bench.plan
    await load.closed_loop(send, picture, 4, min(2.0, plan.seconds / 4))
    found: Json = {}
    # In a thread, so that connections which the server closes meanwhile are noticed.
    before = await asyncio.to_thread(bench.beside.now)
    for concurrency in plan.concurrencies[-1:] if most else plan.concurrencies:
        cpu = processes.cpu_seconds(process)
        result = await load.closed_loop(send, picture, concurrency, plan.seconds)
        cpu = processes.cpu_seconds(process) - cpu
        after = await asyncio.to_thread(bench.beside.now)
        found[str(concurrency)] = result.summary() | {
            "cpu_ms": 1000 * cpu / max(1, len(result.latencies)),
            "limit_beside": (before + after) / 2,
            "errors": result.wrong[:3],
        }
        before = after
    return found
