"""`make load`: SqueezeModels on the kind cluster under load, and what becomes of their requests.

LOAD names what to do, separated by commas: shapes of load (all four by default) or other scenarios.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable

import uvloop
from load import control_plane, disruptions, profiles, report, rollouts, scaling, upgrade
from load.options import SHAPES, Options
from load.report import Result
from squeeze_cluster import kubectl, paths

from bench import processes

Scenario = Callable[[Options], AsyncIterator[Result]]
SCENARIOS: dict[str, Scenario] = {
    **dict.fromkeys(SHAPES, scaling.measure),
    "rollouts": rollouts.measure,
    "disruptions": disruptions.measure,
    **dict.fromkeys(("controlplane", *control_plane.DISTURBANCES), control_plane.measure),
    "profiles": profiles.measure,
    **dict.fromkeys(profiles.CPU_MILLIS, profiles.measure),
    "upgrade": upgrade.measure,
}


def main() -> int:
    """Measures, writes figures and plots; 1 where a promise was broken."""
    options = Options()
    unknown = set(options.wanted) - set(SCENARIOS)
    if unknown:
        print(f"LOAD={','.join(sorted(unknown))}: choose from {', '.join(SCENARIOS)}")
        return 2
    if not kubectl.reachable():
        print("no cluster: make up")
        return 2
    os.environ["KUBECONFIG"] = str(paths.KUBECONFIG)
    processes.end_all_on_sigterm()
    results: list[Result] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_measure(options, results))
    for broken in (broken for one in results for broken in one.broken):
        options.display.say(f"BROKEN  {broken}")
    options.display.say(f"written to {report.SUMMARY} and {report.FOLDER}")
    return int(any(one.broken for one in results))


async def _measure(options: Options, results: list[Result]) -> None:
    """Adds a result after the other, and writes those that are there after each."""
    for scenario in dict.fromkeys(SCENARIOS[name] for name in options.wanted):
        async for one in scenario(options):
            results.append(one)
            report.write(results)


if __name__ == "__main__":
    sys.exit(main())
