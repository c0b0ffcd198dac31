"""`make bench`: the limit, our predictor and other servers, one after another on the same core, in one run.

QUICK=1 leaves out the peers that need an environment of their own and shortens every measurement.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import psutil

from bench import contestants, load, pictures, processes, report
from bench.contestants import Contestant
from bench.pictures import Picture

SERVER_CORE, LOAD_CORE = 0, 1
START_SECONDS = 180.0
WEIGHTS_FILE = "squeezenet1_0-imagenet1k-fp16.safetensors"
OUT = processes.REPO / "bench" / "out"
Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How long each measurement takes, in seconds, and how many clients there are."""

    quick: bool
    seconds: float
    concurrencies: tuple[int, ...]

    @classmethod
    def from_environment(cls) -> Plan:
        quick = os.environ.get("QUICK", "") not in ("", "0")
        return cls(quick, 4.0, (1, 8)) if quick else cls(quick, 9.0, (1, 8, 32))


def main() -> None:
    """Measures all, then writes results.json, a table and plots."""
    plan, weights = Plan.from_environment(), find_weights()
    os.sched_setaffinity(0, {LOAD_CORE})
    OUT.mkdir(parents=True, exist_ok=True)
    all_pictures = pictures.load()
    results: Json = {"machine": machine(), "weights": Path(weights).name, "quick": plan.quick, "peers": {}}
    say("the limit: loops on one core, no server")
    results["limit"] = limit(weights, plan)
    fastest = report.fastest_loop(results, all_pictures[0].name)
    with Limit(weights, fastest, all_pictures[0].name, plan.seconds / 3) as beside:
        say("SqueezeServe on one core")
        results["ours"] = asyncio.run(measure_ours(weights, plan, all_pictures, (SERVER_CORE,), beside))
        say("SqueezeServe on two cores, which the load generator shares")
        both = (SERVER_CORE, LOAD_CORE)
        results["ours_two_cores"] = asyncio.run(measure_ours(weights, plan, all_pictures[:1], both, beside))
        for peer in contestants.peers(free_port()):
            if plan.quick and peer.requirements:
                continue
            say(peer.title)
            results["peers"][peer.title] = measure_peer(peer, weights, plan, all_pictures[0], beside)
    results |= report.ratios(results)
    (OUT / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (OUT / "table.md").write_text(report.table(results))
    report.plots(results, OUT)
    print(report.table(results))
    say(f"written to {OUT}")


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def find_weights() -> str:
    """Real ImageNet weights: SQUEEZESERVE_WEIGHTS_DIR, beside the project, or PyTorch's download."""
    folder = os.environ.get("SQUEEZESERVE_WEIGHTS_DIR") or processes.REPO.parent / "shared" / "weights"
    file = Path(folder) / WEIGHTS_FILE
    return str(file) if file.exists() else "torchvision://squeezenet1_0"


def machine() -> Json:
    """Where this ran: ratios hold elsewhere, absolute figures do not."""
    text = Path("/proc/cpuinfo").read_text()
    model = next(line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line)
    flags = set(next(line for line in text.splitlines() if line.startswith("flags")).split())
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "avx_vnni")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "instruction_sets": [flag for flag in wanted if flag in flags],
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def limit(weights: str, plan: Plan) -> Json:
    """bench.limit as a process of its own on the servers' core."""
    command = [sys.executable, "-m", "bench.limit", weights, str(plan.seconds / 2)]
    done = subprocess.run(
        processes.pinned((SERVER_CORE,), command),
        env=processes.variables(threads(1)),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"bench.limit failed:\n{done.stderr}")
    found: Json = json.loads(done.stdout)
    return found


class Limit:
    """The fastest loop in a process of its own, timed again beside whatever is measured."""

    def __init__(self, weights: str, loop: str, picture: str, seconds: float) -> None:
        self._command = [sys.executable, "-m", "bench.limit", weights, loop, picture]
        self._seconds = seconds

    def __enter__(self) -> Limit:
        self._process = subprocess.Popen(
            processes.pinned((SERVER_CORE,), self._command),
            env=processes.variables(threads(1)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def now(self) -> float:
        """Pictures a second at this moment; nobody else may be at work."""
        assert self._process.stdin
        print(self._seconds, file=self._process.stdin, flush=True)
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


def threads(count: int) -> dict[str, str]:
    """Every library's thread count."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(names, str(count))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody had a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port: int = chosen.getsockname()[1]
    return port


async def measure_ours(
    weights: str, plan: Plan, chosen: list[Picture], cores: tuple[int, ...], beside: Limit
) -> Json:
    """Every protocol in the closed loop, and raw bytes in the open loop at 70 % of what it can."""
    port, grpc_port = free_port(), free_port()
    server = contestants.ours(port, grpc_port, weights)
    command = processes.pinned(cores, [sys.executable, *server.command])
    found: Json = {"protocols": {}, "pictures": {}}
    with processes.running(command, threads(len(cores)), OUT / "ours.log") as process:
        url = f"http://127.0.0.1:{port}"
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel,
        ):
            raw = load.raw(session, url + server.path)
            found["first_answer_s"] = await first_answer(raw, chosen[0])
            protocols = {
                "raw": raw,
                "V1": load.v1(session, url + server.path),
                "V2 binary": load.v2_binary(session, f"{url}/v2/models/squeezenet/infer"),
                "gRPC": load.grpc_v2(channel, "squeezenet"),
            }
            for name, send in protocols.items():
                if len(cores) == 1 or name == "raw":
                    found["protocols"][name] = await closed(send, chosen[0], plan, process, beside)
            for picture in chosen:
                found["pictures"][picture.name] = await closed(raw, picture, plan, process, beside)
            capacity = report.rate(found["pictures"][chosen[0].name])
            opened = await load.open_loop(raw, chosen[0], 0.7 * capacity, 2 * plan.seconds)
            found["open_70_percent"] = opened.summary()
            flooded = await load.open_loop(raw, chosen[0], 3 * capacity, 4 * plan.seconds)
            found["overload_3x"] = flooded.summary()
            found["resident_mb"] = processes.resident_mb(process)
    return found


def measure_peer(peer: Contestant, weights: str, plan: Plan, picture: Picture, beside: Limit) -> Json:
    """One peer in the closed loop; a peer that cannot be had is named with the reason."""
    try:
        python = processes.environment(peer.requirements)
    except subprocess.CalledProcessError as error:
        return {"failed": f"cannot be installed: {error}"}
    port = int(peer.command[-1]) if "--port" in peer.command else free_port()
    variables = {
        **threads(1),
        "BENCH_ENGINE": peer.engine,
        "BENCH_WEIGHTS": weights,
        "BENCH_PORT": str(port),
    }
    log = OUT / f"{peer.title.replace(', ', '-').replace(' ', '-')}.log"
    command = processes.pinned((SERVER_CORE,), [python, *peer.command])
    with processes.running(command, variables, log) as process:
        try:
            url = f"http://127.0.0.1:{port}{peer.path}"
            return asyncio.run(_peer(peer, url, plan, picture, process, beside))
        except TimeoutError:
            return {"failed": f"no right answer within {START_SECONDS:.0f} s: see {log.name}"}


async def _peer(
    peer: Contestant, url: str, plan: Plan, picture: Picture, process: psutil.Process, beside: Limit
) -> Json:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        send = peer.connect(session, url)
        started = await first_answer(send, picture)
        measured = await closed(send, picture, plan, process, beside)
    return {
        "first_answer_s": started,
        "concurrency": measured,
        "resident_mb": processes.resident_mb(process),
    }


async def first_answer(send: load.Send, picture: Picture) -> float:
    """Seconds until the first right answer."""
    began = time.perf_counter()
    while time.perf_counter() - began < START_SECONDS:
        with contextlib.suppress(aiohttp.ClientError, OSError, ValueError, load.Shed):
            if await send(picture) == picture.class_id:
                return time.perf_counter() - began
        await asyncio.sleep(0.02)
    raise TimeoutError


async def closed(
    send: load.Send, picture: Picture, plan: Plan, process: psutil.Process, beside: Limit
) -> Json:
    """The closed loop at each concurrency, after a short warm-up, with the limit before and after each."""
    await load.closed_loop(send, picture, 4, min(2.0, plan.seconds / 4))
    found: Json = {}
    before = beside.now()
    for concurrency in plan.concurrencies:
        cpu = processes.cpu_seconds(process)
        result = await load.closed_loop(send, picture, concurrency, plan.seconds)
        cpu = processes.cpu_seconds(process) - cpu
        after = beside.now()
        found[str(concurrency)] = result.summary() | {
            "cpu_ms": 1000 * cpu / max(1, len(result.latencies)),
            "limit_beside": (before + after) / 2,
            "errors": result.wrong[:3],
        }
        before = after
    return found


if __name__ == "__main__":
    main()
