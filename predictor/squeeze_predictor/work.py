"""A request as work: parsed once, computed part by part, and answered when all parts are done.

A part is as many pictures as the engine computes at its best at a time: one on a CPU. So a request of many
pictures uses every worker, and never keeps one from the requests beside it for longer than a part takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from squeeze_predictor.network import Network, Rows


@dataclass(frozen=True)
class Job:
    """What a parsed request asks for. ``pictures`` counts against the queue's bound."""

    parts: Sequence[Callable[[], Rows]]
    pictures: int
    answer: Callable[[Rows], Any]


@dataclass(frozen=True)
class Work:
    """``parse`` raises ApiError; it runs in a thread where ``heavy``, since a large body takes a while."""

    parse: Callable[[Network], Job]
    client_left: Callable[[], Awaitable[bool]]
    heavy: bool
