"""`make scale`: the operator with a thousand models on a real API server.

Measures how long it takes from nothing to all models Ready, what it costs at rest, how soon a change reaches
the InferenceService, and a restart. Writes results.json, table.md and scale.svg to out/scale.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from integration.apiserver import REPOSITORY, ControlPlane, running_control_plane
from integration.kserve import kserve_crd
from integration.operator_runner import grant
from scale import report
from scale.client import Client
from scale.crowd import Crowd
from scale.player import Player, ended
from scale.process import Operator, cpu_of_others

OUT = REPOSITORY / "out" / "scale"
PER_SECOND = 10.0
Json = dict[str, Any]


def main() -> None:
    """Measures, writes and prints."""
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=40.0, help="of rest, and of changes")
    parser.add_argument(
        "--deaths", action=argparse.BooleanOptionalAction, default=True, help="end parts, too"
    )
    chosen = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "operator.log").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_control_plane(Path(folder)) as plane:
        plane.install_crds(kserve_crd())
        grant(plane)
        results = asyncio.run(measure(plane, chosen.models, chosen.seconds, chosen.deaths))
    (OUT / "table.md").write_text(report.table(results))
    report.draw(results, OUT / "scale.svg")
    print(report.table(results))


async def measure(plane: ControlPlane, models: int, seconds: float, deaths: bool) -> Json:
    """Everything, on one control plane."""
    async with Client(plane) as client:
        crowd = Crowd(client, models)
        say(f"{models} models")
        await crowd.create()
        player = Player(client, crowd.namespaces, crowd.seen)
        playing = asyncio.create_task(player.run())
        say("from nothing")
        operator = Operator(plane.folder / "operator.kubeconfig", OUT)
        results: Json = {"machine": _machine(models)}
        try:
            results["from_nothing"] = await _start(operator, crowd, models)
            await _calm(operator)
            operator.stop()
            say("restart")
            operator = Operator(plane.folder / "operator.kubeconfig", OUT)
            results["restart"] = await _restart(operator, models)
            say("at rest")
            results["at_rest"] = await _rest(operator, plane, seconds)
            say("changes")
            results["changes"] = await _changes(operator, crowd, player, seconds)
            if deaths:
                operator.stop()
                say("deaths")
                # So rarely that no audit starts the dead watcher again.
                operator = Operator(plane.folder / "operator.kubeconfig", OUT, "--audit-seconds=600")
                await _restart(operator, models)
                results["deaths"] = await _deaths(operator)
        finally:
            # Written also where it was interrupted.
            (OUT / "results.json").write_text(json.dumps(results, indent=2) + "\n")
            operator.stop()
            await ended(playing)
    return results


async def _start(operator: Operator, crowd: Crowd, models: int) -> Json:
    timeline: list[tuple[float, int]] = []
    before = cpu_of_others()

    async def all_ready() -> bool:
        ready = await crowd.conditions("Ready")
        timeline.append((round(time.monotonic() - operator.started_at, 1), ready))
        return ready == models

    # A list of all models costs the API server as much as some writes do.
    await _until(all_ready, 600, every=max(1.0, models / 100))
    others = {name: seconds - before[name] for name, seconds in cpu_of_others().items()}
    return _cost(operator) | {"timeline": timeline, "cpu_seconds_of_others": others}


async def _rest(operator: Operator, plane: ControlPlane, seconds: float) -> Json:
    await _calm(operator)
    before = len(plane.asked())
    share = await operator.cpu_share(seconds)
    asked = plane.asked()[before:]
    audits = sum(_is_audit(request) for request in asked)
    return {
        "cpu_share": share,
        "memory_mib": operator.memory_mib(),
        "requests_per_second": len(asked) / seconds,
        "requests_of_audits_per_second": audits / seconds,
        "writes": sum(request["verb"] not in ("get", "list") for request in asked),
    }


def _is_audit(request: Json) -> bool:
    return "namespace" not in request["objectRef"]


async def _changes(operator: Operator, crowd: Crowd, player: Player, seconds: float) -> Json:
    played, cpu = player.played, operator.cpu_seconds()
    await crowd.change(seconds, PER_SECOND)

    async def all_arrived() -> bool:
        return len(crowd.arrived) == len(crowd.changed)

    await _until(all_arrived, 120)
    delays = sorted(crowd.arrived[size] - sent for size, sent in crowd.changed.items())
    return {
        "per_second": PER_SECOND,
        "seconds": delays,
        "played": player.played - played,
        "cpu_seconds_of_a_change": (operator.cpu_seconds() - cpu) / len(delays),
        "memory_mib": operator.memory_mib(),
    }


async def _restart(operator: Operator, models: int) -> Json:
    async def all_looked_at() -> bool:
        done = operator.sample("squeeze_operator_reconciles_total", result="succeeded")
        return done >= models and not operator.sample("squeeze_operator_queue_length")

    await _until(all_looked_at, 120)
    return _cost(operator) | {"writes": operator.sample("squeeze_operator_writes_total")}


async def _deaths(operator: Operator) -> Json:
    """Seconds from the end of a part to a liveness probe that fails, where nothing heals it before."""
    return {
        "watcher": await operator.seconds_to_death(signal.SIGUSR1),
        "worker": await _seconds_to_exit(operator),
    }


async def _seconds_to_exit(operator: Operator) -> float:
    begun = time.monotonic()
    operator.child.send_signal(signal.SIGUSR2)
    while operator.child.poll() is None:
        await asyncio.sleep(0.1)
    return time.monotonic() - begun


def _cost(operator: Operator) -> Json:
    """What it has taken since its start."""
    return {
        "wall_seconds": time.monotonic() - operator.started_at,
        "cpu_seconds": operator.cpu_seconds(),
        "memory_mib": operator.memory_mib(),
        "reconciles": operator.sample("squeeze_operator_reconciles_total"),
        "requests": operator.sample("squeeze_operator_api_requests_total"),
    }


async def _calm(operator: Operator) -> None:
    """Waits until a few seconds pass without a write and with an empty queue."""
    written = -1.0

    async def calm() -> bool:
        nonlocal written
        before, written = written, operator.sample("squeeze_operator_writes_total")
        return written == before and not operator.sample("squeeze_operator_queue_length")

    await _until(calm, 120, every=3.0)


async def _until(look: Callable[[], Awaitable[bool]], seconds: float, every: float = 0.2) -> None:
    deadline = time.monotonic() + seconds
    while not await look():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:.0f} s; see {OUT}/operator.log")
        await asyncio.sleep(every)


def _machine(models: int) -> Json:
    cpu = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return {"cpu": cpu, "cores": os.cpu_count(), "models": models, "date": time.strftime("%Y-%m-%d")}


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
