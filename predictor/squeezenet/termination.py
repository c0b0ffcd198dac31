"""Tells Kubernetes, in one line, why the process ended (the container's termination message)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

DEFAULT_LOG = Path("/dev/termination-log")
# The kubelet keeps 4096 bytes for all containers of a pod together.
_LINE_LIMIT = 2048


def report(message: str, env: Mapping[str, str]) -> None:
    """Write a message, such as `<Reason>: <sentence>`, as one line to stderr and to the termination log.

    The default log is written only where the kubelet has made it, so that a run on a workstation does
    not leave a file in /dev.
    """
    line = " ".join(message.split())[:_LINE_LIMIT]
    print(line, file=sys.stderr, flush=True)
    named = env.get("SQUEEZE_TERMINATION_LOG")
    path = Path(named) if named else DEFAULT_LOG
    if not named and not path.exists():
        return
    try:
        path.write_text(line + "\n", encoding="utf-8")
    except OSError as error_:
        print(f"cannot write {path}: {error_.strerror}", file=sys.stderr, flush=True)
