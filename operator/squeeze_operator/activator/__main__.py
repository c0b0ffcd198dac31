"""The command `python -m squeeze_operator.activator`: reads the settings, finds the cluster, runs."""

import asyncio
import logging
import sys

from kubernetes.config import ConfigException

from squeeze_operator import logs, watch
from squeeze_operator.activator.main import run_until_signal
from squeeze_operator.activator.settings import parse_settings
from squeeze_operator.api import load_configuration


def main() -> int:
    """Exit code: 0 after a signal, 2 for wrong settings or no cluster."""
    settings = parse_settings(sys.argv[1:])
    logs.configure(settings.log_format, settings.log_level)
    watch.quiet_logs()
    try:
        configuration = load_configuration()
    except ConfigException as error:
        logging.getLogger(__name__).error("no cluster: run in a pod with a ServiceAccount (%s)", error)
        return 2
    asyncio.run(run_until_signal(settings, configuration))
    return 0


if __name__ == "__main__":
    sys.exit(main())
