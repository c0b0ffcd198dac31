"""`make bench`: the limit, our predictor and other servers, one after another on the same core, in one run.

QUICK=1 leaves out the peers that need an environment of their own and shortens every measurement.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from squeezenet.engines.openvino_runtime import has_bf16

from bench import (
    beside,
    breakdown,
    contestants,
    cores,
    gateway,
    measure,
    overhead,
    pictures,
    plots,
    processes,
    report,
    rivals,
    tables,
    throttling,
)
from bench.beside import Limit
from bench.measure import Bench
from bench.pause import cluster_paused
from bench.pictures import Picture
from bench.plan import LOAD_CORE, OUT, SERVER_CORE, Plan, find_weights

DIGITS = "builtin://digits"
Json = dict[str, Any]


def main() -> None:
    """Measures all, then writes results.json, tables and plots."""
    processes.end_all_on_sigterm()
    plan, weights = Plan.from_environment(), find_weights()
    OUT.mkdir(parents=True, exist_ok=True)
    results: Json = {"machine": machine(), "weights": Path(weights).name, "quick": plan.quick}
    say("a pod behind the gateway")
    results["gateway"] = gateway.measure(plan.seconds / 2, plan.rounds)
    os.sched_setaffinity(0, {LOAD_CORE})
    with cluster_paused():
        say("the limit: loops on one core, no server")
        results["limit"] = beside.whole(weights, plan.seconds / 2, SERVER_CORE)
        results |= side_by_side(plan, weights, report.fastest_loop(results, pictures.load()[0].name))
        results |= on_its_own(plan, weights)
    results |= report.ratios(results)
    (OUT / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    text = tables.table(results)
    (OUT / "table.md").write_text(text)
    plots.draw(results, OUT)
    print(text)
    say(f"written to {OUT}")


def side_by_side(plan: Plan, weights: str, loop: str) -> Json:
    """Everything that is measured beside the limit: two cores, ours, and the peers."""
    chosen = pictures.load()
    limits = [
        Limit(weights, loop, chosen[0].name, plan.seconds / 3, core) for core in (SERVER_CORE, LOAD_CORE)
    ]
    with limits[0] as first:
        bench = Bench(plan, weights, first)
        say("SqueezeServe on one core")
        ours = measure.ours(bench, chosen)
        say("SqueezeServe and the limit on one core and on two")
        with limits[1] as second:
            found = cores.measure(weights, chosen[0], (first, second), plan.seconds, plan.rounds)
        others = peers(bench, chosen[0])
    say("SqueezeServe and the best with the same engine")
    closest = rivals.best(report.peers_of_limit(others), contestants.peers())
    return {
        "cores": found,
        "ours": ours,
        "peers": others,
        "rivals": rivals.measure(weights, chosen[0], closest, plan),
    }


def peers(bench: Bench, picture: Picture) -> Json:
    """Every other server by its title, and ours in bfloat16 where the CPU computes it itself."""
    found = {}
    bf16 = [contestants.ours_in_bf16(bench.weights)] if has_bf16() else []
    for peer in (*bf16, *contestants.peers()):
        if bench.plan.quick and peer.requirements:
            continue
        say(peer.title)
        found[peer.title] = measure.peer(bench, peer, picture)
    return found


def on_its_own(plan: Plan, weights: str) -> Json:
    """What is compared with itself: with and without metrics, and part by part."""
    picture, digit = pictures.load()[0], pictures.digit()
    say("SqueezeServe with and without metrics")
    # Short turns and many of them: what they differ by is less than what the machine's speed changes by.
    turns = plan.seconds / 4, 2 * plan.rounds
    metrics = {
        "ImageNet": overhead.measure(weights, picture, *turns),
        "digits": overhead.measure(DIGITS, digit, *turns),
    }
    say("SqueezeServe with a limit of one CPU")
    limited = throttling.measure(weights, picture, plan.seconds)
    say("the parts of one request")
    parts = breakdown.measure(weights, picture, plan.seconds)
    return {"metrics": metrics, "throttling": limited, "breakdown_ms": parts}


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


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


if __name__ == "__main__":
    main()
