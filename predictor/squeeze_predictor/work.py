"""A request as work: parsed once, computed picture by picture, and answered when all are done.

So a request of many pictures uses every worker, and never keeps one from the requests beside it for longer
than a picture takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from squeeze_predictor.network import Network
from squeeze_predictor.parts import Part, Rows


@dataclass(frozen=True)
class Job:
    """What a parsed request asks for. Its parts, one for each picture, count against the queue's bound."""

    parts: Sequence[Part]
    answer: Callable[[Rows], Any]


@dataclass(frozen=True)
class Work:
    """``parse`` raises ApiError; it runs in a thread where ``heavy``, since a large body takes a while."""

    parse: Callable[[Network], Job]
    heavy: bool
