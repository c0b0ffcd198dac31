"""The command `squeeze-operator`: reads the settings, finds the cluster, runs."""

import asyncio
import logging
import sys

from kubernetes.config import ConfigException

from squeeze_operator import logs, watch
from squeeze_operator import main as wiring
from squeeze_operator.api import load_configuration
from squeeze_operator.settings import parse_settings


def main() -> int:
    """Exit code: 0 after a signal, 1 when a part has died, 2 for wrong settings or no cluster."""
    settings = parse_settings(sys.argv[1:])
    logs.configure(settings.log_format, settings.log_level)
    watch.quiet_logs()
    log = logging.getLogger("squeeze_operator")
    try:
        configuration = load_configuration()
    except ConfigException as error:
        log.error("no cluster: run in a pod with a ServiceAccount, or set KUBECONFIG (%s)", error)
        return 2
    wiring.serve_metrics(settings.metrics_port)
    try:
        asyncio.run(wiring.run_until_signal(settings, configuration))
    except wiring.OperatorError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
