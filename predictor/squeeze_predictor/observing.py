"""What watches requests from outside, whatever transport they took: the access log, and traces.

A transport makes an `Exchange` for each request and fills in what it learns; each observer is a context
manager around it. Where there are no observers, nothing of this is in a request's way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal


@dataclass
class Exchange:
    """One request and its answer.

    ``route`` is a template or a gRPC method, never what a client wrote. ``status`` is an HTTP code or a gRPC
    code's name; ``failed`` says whether it puts the blame on the server. ``traceparent`` and
    ``tracestate`` are the W3C headers as sent. Sizes in bytes, of bodies and messages.
    """

    protocol: Literal["http", "grpc"]
    method: str
    traceparent: str = ""
    tracestate: str = ""
    route: str = ""
    status: int | str = ""
    failed: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    trace_id: str | None = None


Observer = Callable[[Exchange], AbstractContextManager[None]]


@contextmanager
def observed(observers: Sequence[Observer], exchange: Exchange) -> Iterator[None]:
    """Around everything that is done for a request."""
    with ExitStack() as stack:
        for observer in observers:
            stack.enter_context(observer(exchange))
        yield
