"""The limit (`bench.limit`) in processes of its own: timed whole at first, then beside what is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench import processes
from bench.load import Result
from bench.plan import OUT

Json = dict[str, Any]


def whole(weights: str, seconds: float, core: int) -> Json:
    """Every part and every loop of the limit, on one core. Raises SystemExit where it fails."""
    done = subprocess.run(
        processes.pinned((core,), [sys.executable, "-m", "bench.limit", weights, str(seconds)]),
        env=processes.variables(processes.threads(1)),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"bench.limit failed:\n{done.stderr}")
    found: Json = json.loads(done.stdout)
    return found


class Limit:
    """One loop on one core, in a process that waits to be asked."""

    def __init__(self, weights: str, loop: str, picture: str, seconds: float, core: int) -> None:
        command = [sys.executable, "-m", "bench.limit", weights, loop, picture]
        self._log = OUT / f"limit-{core}.log"
        self._command = processes.pinned((core,), command)
        self._seconds = seconds

    def __enter__(self) -> Limit:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command,
                env=processes.variables(processes.threads(1)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._line()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def now(self) -> float:
        """Pictures a second at this moment; nobody else may be at work."""
        self.begin()
        return self.end()

    def begin(self) -> None:
        """Starts the loop; `end` has to follow."""
        self._ask(str(self._seconds))

    def end(self) -> float:
        """Waits for the loop's end; pictures a second."""
        return float(self._line())

    def by_the_clock(self, per_second: float, seconds: float) -> Result:
        """So many pictures a second, each from when it was due; nobody else may be at work."""
        self._ask(f"{seconds} {per_second}")
        return Result(seconds, json.loads(self._line()))

    def _ask(self, line: str) -> None:
        assert self._process.stdin
        print(line, file=self._process.stdin, flush=True)

    def _line(self) -> str:
        assert self._process.stdout
        if not (line := self._process.stdout.readline()):
            raise SystemExit(f"bench.limit has ended: see {self._log}")
        return line
