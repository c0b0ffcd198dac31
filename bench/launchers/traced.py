"""The predictor with a stopwatch on each part of a request, for one client that sends one request at a time.

At its end it writes a list of requests, each the seconds of its parts, to the file that BENCH_TRACE names.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from time import perf_counter
from typing import Any

from squeeze_predictor import __main__ as predictor
from squeeze_predictor import admission, guard, network, protocol_v1
from squeezenet import preprocess
from uvicorn.protocols.http import httptools_impl

requests: list[dict[str, float]] = []
current: defaultdict[str, float] = defaultdict(float)


def timed(call: Callable[..., Any], part: str) -> Callable[..., Any]:
    """The function, with its time added to a part."""

    @wraps(call)
    def timing(*arguments: Any, **named: Any) -> Any:
        began = perf_counter()
        try:
            return call(*arguments, **named)
        finally:
            current[part] += perf_counter() - began

    return timing


def timed_async(call: Callable[..., Any], part: str) -> Callable[..., Any]:
    """The coroutine function, with the time until its end added to a part."""

    @wraps(call)
    async def timing(*arguments: Any, **named: Any) -> Any:
        began = perf_counter()
        try:
            return await call(*arguments, **named)
        finally:
            current[part] += perf_counter() - began

    return timing


def ending(call: Callable[..., Any]) -> Callable[..., Any]:
    """The application, with the end of each request noted."""

    @wraps(call)
    async def noting(*arguments: Any) -> None:
        try:
            await call(*arguments)
        finally:
            requests.append(dict(current))
            current.clear()

    return noting


def start_watches() -> None:
    """Puts a stopwatch on each part; those of `thread` hold those of decode, resize, infer and answer."""
    plain: list[tuple[Any, str, str]] = [
        (httptools_impl.HttpToolsProtocol, "data_received", "parse HTTP"),
        (preprocess, "decode", "decode"),
        (preprocess, "to_pixels", "resize"),
        (network.Network, "_infer", "infer"),
        (network.Network, "_rows", "answer"),
        (protocol_v1, "answer", "answer"),
    ]
    for owner, name, part in plain:
        setattr(owner, name, timed(getattr(owner, name), part))
    coroutines: list[tuple[Any, str, str]] = [
        (admission.Admission, "_wait_for_worker", "queue"),
        (admission, "_in_thread", "thread"),
        (httptools_impl.RequestResponseCycle, "send", "write"),
    ]
    for owner, name, part in coroutines:
        setattr(owner, name, timed_async(getattr(owner, name), part))
    guard.Guard.__call__ = ending(guard.Guard.__call__)  # type: ignore[method-assign]


if __name__ == "__main__":
    start_watches()
    try:
        predictor.run(sys.argv[1:], os.environ)
    finally:
        Path(os.environ["BENCH_TRACE"]).write_text(json.dumps(requests))
