"""Shows long work as stages with their times; a failed stage names the log that tells why."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from squeeze_cluster import paths, shell
from squeeze_cluster.errors import ClusterError


class Stages:
    """Prints a line a stage, with its seconds, and keeps every command's output in one log file."""

    def __init__(self, name: str) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._depth = 0
        self.log_file = paths.cache_dir("logs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.log"
        shell.log_to(self.log_file)

    def say(self, text: str) -> None:
        """Print a line that belongs to the stage now running."""
        shell.log(f"# {text}")
        self._console.print(f"{'  ' * self._depth}{text}")

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Time a stage. On failure say where the log is and how to go on; the error goes further up."""
        began = time.monotonic()
        shell.log(f"\n## {title}")
        self._console.print(f"{'  ' * self._depth}[bold cyan]▸[/] {title}")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            self._console.print(f"{'  ' * self._depth}[bold red]✗[/] {title} failed after {_took(began)}")
            raise
        self._depth -= 1
        shell.log(f"## {title}: {_took(began)}")
        self._console.print(f"{'  ' * self._depth}[bold green]✓[/] {title} [dim]{_took(began)}[/]")

    def done(self, text: str) -> None:
        """Print the closing line with the whole run's time."""
        self._console.print(f"[bold green]{text}[/] in {_took(self._began)} [dim](log: {self.log_file})[/]")


def _took(began: float) -> str:
    seconds = time.monotonic() - began
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def fail(error: ClusterError, log_file: Path, again: str) -> int:
    """Tell a person what failed, where the whole log is and which command resumes; returns exit code 1."""
    print(
        f"\nerror: {error}\n\nlog:    {log_file}\nresume: {again} (finished stages are kept)", file=sys.stderr
    )
    return 1
