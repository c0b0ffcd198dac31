"""Refuses pictures at once while the queue is full, before anything else is done for them.

At three times what a server can carry, two requests in three are refused, and what each costs is taken from
those that are answered: through the router, a request object, an exception and its handler a refusal takes
nearly twice the CPU time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from squeeze_predictor import handlers
from squeeze_predictor.errors import ApiError

# Of a route that leaves them to its endpoint.
METHODS = ("POST", "PUT")


class Turnstile:
    """ASGI middleware before the `routes` that classify with the model; `full` gives the refusal, if any."""

    def __init__(
        self, app: ASGIApp, routes: Sequence[Route], model_name: str, full: Callable[[], ApiError | None]
    ) -> None:
        self._app = app
        self._routes = {
            (method, route.path.format(model_name=model_name)): route
            for route in routes
            for method in route.methods or METHODS
        }
        self._full = full

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        refusal = self._full() if route else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        # As the router would have, for metrics and the access log.
        scope["route"] = route
        await handlers.respond(refusal)(scope, receive, send)
