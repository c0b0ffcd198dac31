"""The real application in this process, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from squeeze_predictor import server, settings
from squeeze_predictor.admission import Admission
from squeeze_predictor.lifecycle import Lifecycle
from squeeze_predictor.network import Network
from squeeze_predictor.progress import Progress
from squeeze_predictor.routes.context import Context

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """What the application sent."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def context(*flags: str, network: Network | None = None) -> Context:
    """The context of a server that still loads, unless a network is given."""
    chosen = settings.parse(["--weights", "builtin://digits", *flags], {})
    progress = Progress(chosen.stall_seconds)
    lifecycle = Lifecycle(progress)
    if network is not None:
        lifecycle.loaded(network)
    admission = Admission(1, chosen.queue_size, chosen.queue_timeout, progress)
    return server.build_context(chosen, lifecycle, admission)


async def ask(
    app: Any, method: str, path: str, body: bytes = b"", headers: Headers = (), query: bytes = b""
) -> Answer:
    """The answer to one request."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        # A client that stays says no more.
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    length = [(b"content-length", str(len(body)).encode())] if body else []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [*headers, *length],
    }
    await app(scope, receive, send)
    bodies = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], dict(sent[0]["headers"]), bodies)
