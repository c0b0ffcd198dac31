"""Runs commands: every one and all that it prints goes to the log file, its output to the caller.

This is the only module that starts processes.
"""

import os
import shlex
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from squeeze_cluster.errors import CommandError

_log: IO[bytes] | None = None


def log_to(path: Path | None) -> None:
    """Send a copy of everything that `run` sees to `path` (None: to nowhere)."""
    global _log
    if _log:
        _log.close()
    _log = path.open("ab", buffering=0) if path else None


def log(text: str) -> None:
    """Write one line to the log file."""
    if _log:
        _log.write(text.rstrip("\n").encode() + b"\n")


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes | IO[bytes] | None = None,
    check: bool = True,
    timeout: float | None = None,
) -> str:
    """Run a command and return what it wrote to stdout.

    Raises CommandError, with the end of its output, when it fails (unless `check` is false).
    """
    return _run(command, cwd, env, stdin, check, timeout)[1]


def succeeds(*command: str | Path, env: Mapping[str, str] | None = None, timeout: float | None = 60) -> bool:
    """Whether a command exits with 0 within `timeout` seconds."""
    try:
        return _run(command, None, env, None, False, timeout)[0] == 0
    except FileNotFoundError:
        return False


def _run(
    command: Sequence[str | Path],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: str | bytes | IO[bytes] | None,
    check: bool,
    timeout: float | None,
) -> tuple[int, str]:
    shown = shlex.join(str(word) for word in command)
    log(f"$ {shown}")
    data = stdin.encode() if isinstance(stdin, str) else stdin if isinstance(stdin, bytes) else None
    source = subprocess.PIPE if data is not None else stdin if stdin is not None else subprocess.DEVNULL
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **env} if env else None,
        stdin=source,  # type: ignore[arg-type]
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = _Reader(process.stdout), _Reader(process.stderr)
        if data is not None:
            _feed(process.stdin, data)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            code = 124
            log(f"(killed after {timeout} s)")
        text, errors = out.text(), err.text()
    if check and code:
        raise CommandError(shown, code, text + errors)
    return code, text


def _feed(pipe: IO[bytes] | None, data: bytes) -> None:
    assert pipe is not None
    try:
        pipe.write(data)
        pipe.close()
    except BrokenPipeError:
        log("(the command did not read its input)")


class _Reader(threading.Thread):
    """Copies one stream of a process to the log while it runs."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream, self._chunks = stream, list[bytes]()
        self.start()

    def run(self) -> None:
        for line in self._stream:
            self._chunks.append(line)
            if _log:
                _log.write(line)

    def text(self) -> str:
        self.join()
        return b"".join(self._chunks).decode(errors="replace")
