"""The operator as a program, apart from two things: replicas answer although there are none, and parts die.

Arguments and environment are those of `squeeze-operator`. SIGUSR1 ends a watcher, SIGUSR2 a worker.
"""

import asyncio
import signal
import sys
from typing import Any

from squeeze_operator import logs, watch
from squeeze_operator import main as wiring
from squeeze_operator.api import load_configuration
from squeeze_operator.settings import parse_settings
from squeeze_operator.snapshot import Served

SERVED = Served("sha256:" + "1" * 64, "cpu", "openvino")


async def read_served(_model: Any, _deployment: Any, _pods: Any) -> Served:
    """What each replica says."""
    return SERVED


def end(prefix: str) -> None:
    """Ends the tasks whose names begin so."""
    for task in asyncio.all_tasks():
        if task.get_name().startswith(prefix):
            task.cancel()


async def main() -> None:
    """Runs until SIGTERM, or until a part has died."""
    settings = parse_settings(sys.argv[1:])
    logs.configure(settings.log_format, settings.log_level)
    watch.quiet_logs()
    wiring.serve_metrics(settings.metrics_port)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, end, "watcher for deployments")
    loop.add_signal_handler(signal.SIGUSR2, end, "worker 0")
    await wiring.run_until_signal(settings, load_configuration(), read_served)


if __name__ == "__main__":
    asyncio.run(main())
