"""What is going on, while it goes on: a live table on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from load import figures
from load.sampling import Sample
from load.sending import Request
from rich.console import Console
from rich.live import Live
from rich.table import Table

COLUMNS = (
    "second",
    "phase",
    "sent",
    "answered/s",
    "p50 ms",
    "p99 ms",
    "shed",
    "failed",
    "replicas",
    "status",
)
LIVE_SECONDS, PLAIN_SECONDS = 1.0, 10.0
ROWS = 20


class Display:
    """Shows a run until cancelled; `phase` is what the scenario says that it is doing."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self.phase = ""

    async def follow(self, requests: Sequence[Request], samples: Sequence[Sample]) -> None:
        """Shows these two growing lists until cancelled."""
        began = time.monotonic()
        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(PLAIN_SECONDS)
                values = self._row(began, requests, samples, PLAIN_SECONDS)
                self.say("  ".join(f"{name} {value}" for name, value in zip(COLUMNS, values, strict=True)))
        rows: list[Sequence[str]] = []
        with Live(console=self._console, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(LIVE_SECONDS)
                rows = [*rows, self._row(began, requests, samples, LIVE_SECONDS)][-ROWS:]
                live.update(_table(rows), refresh=True)

    def say(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text, soft_wrap=True, markup=False)

    def _row(
        self, began: float, requests: Sequence[Request], samples: Sequence[Sample], seconds: float
    ) -> tuple[str, ...]:
        now = time.monotonic()
        recent = [one for one in requests[-2000:] if one.due + one.seconds > now - seconds]
        of, said = figures.of_requests(recent), samples[-1].said if samples else None
        right = of["requests"] - of["failed"] - of["shed"]
        return (
            f"{now - began:.0f}",
            self.phase,
            str(len(requests)),
            f"{right / seconds:.0f}",
            str(of["p50_ms"]),
            str(of["p99_ms"]),
            str(of["shed"]),
            str(of["failed"]),
            f"{said.ready} of {said.wanted}" if said else "?",
            " ".join(
                kind for kind in ("Ready", "Serving", "UpToDate", "Stalled") if said and said.says(kind)
            ),
        )


def _table(rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*row)
    return table
