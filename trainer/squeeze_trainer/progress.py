"""What a person sees while a network trains: a bar on a terminal, elsewhere a plain line now and then.

Everything goes to standard error, and the numbers to TensorBoard event files too. Only the leader shows
anything but warnings.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from squeezenet.terminal import printable

from squeeze_trainer.progress_file import ProgressFile
from squeeze_trainer.state import Point, State, Validation
from squeeze_trainer.step import Outcome


class View(Protocol):
    """What the loop tells."""

    def line(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def step(self, state: State, budget: int, outcome: Outcome, rate: float) -> None: ...
    def point(self, point: Point, outcome: Outcome) -> None: ...
    def validating(self) -> None: ...
    def validated(self, found: Validation, improved: bool, state: State) -> None: ...


class Silent:
    """The view of a process that does not lead: only warnings."""

    def line(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    def step(self, state: State, budget: int, outcome: Outcome, rate: float) -> None:
        """Nothing."""

    def point(self, point: Point, outcome: Outcome) -> None:
        """Nothing."""

    def validating(self) -> None:
        """Nothing."""

    def validated(self, found: Validation, improved: bool, state: State) -> None:
        """Nothing."""


class Shown:
    """The leader's view. ``seconds``: between two lines without a terminal; ``file``: for programs."""

    def __init__(self, seconds: float, events: Path | None = None, file: ProgressFile | None = None) -> None:
        self._console = Console(stderr=True)
        self._bar = _bar(self._console) if self._console.is_terminal else None
        self._task = self._bar.add_task("", total=None, facts="") if self._bar else None
        self._seconds, self._pace = seconds, Pace()
        self._events: Any = None
        self._folder = events
        self._file = file

    def __enter__(self) -> Shown:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()
        if self._events is not None:
            self._events.close()

    def line(self, text: str) -> None:
        """One line."""
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    warn = line

    def step(self, state: State, budget: int, outcome: Outcome, rate: float) -> None:
        """A step was made: moves the bar, or writes a line if it is time."""
        self._pace.add(outcome.pictures, time.monotonic())
        if self._file is not None:
            seconds_left = self._pace.seconds_left(budget - state.iteration)
            self._file.step(state, budget, outcome.loss, seconds_left)
        best = f" · best {state.best.top1:.1%}" if state.best else ""
        facts = (
            f"loss {outcome.loss:.4f} · lr {rate:.2g} · {self._pace.pictures_per_second:.0f} pictures/s{best}"
        )
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=state.iteration, total=budget, facts=facts)
        elif self._pace.is_due(self._seconds):
            left = _clock(self._pace.seconds_left(budget - state.iteration))
            self.line(f"iteration {state.iteration}/{budget} · {facts} · {left} left")

    def point(self, point: Point, outcome: Outcome) -> None:
        """A point of the curve, for TensorBoard."""
        self._scalars(
            point.iteration,
            {
                "train/loss": point.loss,
                "train/learning_rate": point.rate,
                "train/gradient_norm": outcome.norm,
            },
        )

    def validating(self) -> None:
        """A validation begins; its time is no training time."""
        self._pace.pause()

    def validated(self, found: Validation, improved: bool, state: State) -> None:
        """A validation is done."""
        mark = " · best so far, saved" if improved else f" · no better {state.without_improvement} time(s)"
        self.line(
            f"validation at {found.iteration}: top-1 {found.top1:.2%} · top-5 {found.top5:.2%} · "
            f"loss {found.loss:.4f}{mark}"
        )
        self._scalars(
            found.iteration,
            {"validation/top1": found.top1, "validation/top5": found.top5, "validation/loss": found.loss},
        )
        self._pace.pause()

    def _scalars(self, iteration: int, values: dict[str, float]) -> None:
        if self._folder is None:
            return
        if self._events is None:
            from tensorboardX import SummaryWriter

            # A resumed run writes some iterations again; TensorBoard then hides the first ones.
            self._events = SummaryWriter(str(self._folder), purge_step=iteration, flush_secs=10)
        for name, value in values.items():
            self._events.add_scalar(name, value, iteration)


class Pace:
    """Pictures a second and the time left, from the steps' own times; pauses do not count."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._shown: float | None = None
        self._steps, self._pictures, self._busy = 0, 0, 0.0

    def add(self, pictures: int, now: float) -> None:
        """A step of so many pictures ended now (a monotonic clock's seconds)."""
        if self._last is not None:
            self._steps, self._pictures = self._steps + 1, self._pictures + pictures
            self._busy += now - self._last
        self._last = now

    def pause(self) -> None:
        """What comes until the next step is not training."""
        self._last = None

    def is_due(self, seconds: float) -> bool:
        """Whether the last line is ``seconds`` old; then a line is taken as written now."""
        if self._last is None or (self._shown is not None and self._last - self._shown < seconds):
            return False
        self._shown = self._last
        return True

    @property
    def pictures_per_second(self) -> float:
        """0 before it is known."""
        return self._pictures / self._busy if self._busy else 0.0

    def seconds_left(self, steps: int) -> float | None:
        """Until so many more steps are made, None before it is known."""
        return steps * self._busy / self._steps if self._steps else None


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _bar(console: Console) -> Progress:
    return Progress(
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
        console=console,
    )
