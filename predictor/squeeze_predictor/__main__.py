"""The process: wires settings, loader and server together, and ends with the right exit code.

The model loads in a thread while the SDK is imported and the port already answers `/v2/health/live`.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from squeezenet import termination

from squeeze_predictor import listener as listeners
from squeeze_predictor import loader, logs, quota, settings, traces
from squeeze_predictor.errors import StartError
from squeeze_predictor.observing import Observer


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `squeeze-predictor`."""
    code = run(sys.argv[1:] if argv is None else argv, os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    # The interpreter's own end would wait for a thread that hangs, and native code aborts where the
    # interpreter ends beneath it: the loader may be at work, or a picture that has outlived the grace.
    os._exit(code)


def run(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Serve until told to stop. Returns the exit code: 0, or 2 or 3 when the start failed."""
    # As PID 1 the default is to ignore SIGTERM. Until the server takes over there is nothing to finish.
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: os._exit(0))
    try:
        chosen = settings.parse(argv, env)
        logs.configure()
        with traces.started(env) as tracing:
            _serve(chosen, tracing)
    except StartError as error:
        termination.report(str(error), env)
        return error.exit_code
    return 0


def _serve(chosen: settings.Settings, tracing: Sequence[Observer]) -> None:
    threads = chosen.threads or quota.usable_cpus()
    # Read when numpy and torch are first imported; their own default is the host's core count.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    # Nearly all that a start makes stays, and looking through it again and again for garbage is in vain.
    gc.disable()
    listener = listeners.bind(chosen.host, chosen.port)
    loading = loader.start(chosen, threads)
    # Imported only now: the SDK takes seconds, and the loader can use them.
    from squeeze_predictor.server import PredictorServer

    PredictorServer(chosen, threads, tracing).run(listener, loading)


if __name__ == "__main__":
    main()
