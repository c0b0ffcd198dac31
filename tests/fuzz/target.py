"""What a fuzz target is, and the check that its memory stays bounded."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 1024 * 1024
STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class Target:
    """``run`` raises where an input does what none may do; ``mutate`` keeps most of a format's structure."""

    name: str
    seeds: Callable[[], Sequence[bytes]]
    run: Callable[[bytes], None]
    mutate: Callable[[bytes, random.Random], bytes]


class MemoryGrewError(AssertionError):
    """The process holds much more memory than after its first inputs."""


class Memory:
    """Samples the resident memory every ``every`` inputs; ``limit``: bytes that it may grow by."""

    def __init__(self, limit: int, every: int = 200, resident: Callable[[], int] | None = None) -> None:
        self._limit = limit
        self._every = every
        self._resident = resident or resident_bytes
        self._inputs = 0
        self._first = 0

    def check(self) -> None:
        """Count an input. Raises MemoryGrewError."""
        self._inputs += 1
        if self._inputs % self._every:
            return
        now = self._resident()
        # The first sample comes after the caches and pools are filled.
        self._first = self._first or now
        if now - self._first > self._limit:
            raise MemoryGrewError(
                f"{now // MEBIBYTE} MiB after {self._inputs} inputs, {self._first // MEBIBYTE} MiB after "
                f"{self._every}"
            )


def resident_bytes() -> int:
    """The resident memory of this process."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
