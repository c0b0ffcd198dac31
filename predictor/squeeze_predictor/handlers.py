"""Turns every exception a route can raise into the one JSON error shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from squeeze_predictor import metrics
from squeeze_predictor.errors import CLIENT_CLOSED, ApiError, bad_request, shown
from squeeze_predictor.routes.context import json_response
from squeeze_predictor.sdk import InvalidInput, ModelNotFound, ModelNotReady


def respond(error: ApiError) -> Response:
    """The answer to a refused request."""
    metrics.REFUSED.labels(reason=error.reason).inc()
    return json_response(error.body(), error.status, error.headers)


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return respond(error)


async def _client_left(_: Request, __: Exception) -> Response:
    return respond(ApiError(CLIENT_CLOSED, "ClientLeft", "the client closed the connection"))


async def _routing_error(request: Request, error: Exception) -> Response:
    """No route, or not this method. OPTIONS is answered with what is allowed; CORS stays off."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        # Routes keep their methods in a set, whose order differs from process to process.
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": allowed})
        return respond(
            ApiError(405, "MethodNotAllowed", f"this page takes {allowed}", headers={"Allow": allowed})
        )
    if error.status_code == 404:
        return respond(
            ApiError(
                404,
                "RouteNotFound",
                f"there is no page {shown(request.url.path)}; see /v2/models for the model",
            )
        )
    return respond(ApiError(error.status_code, "HttpError", "the request cannot be answered"))


async def _sdk_error(_: Request, error: Exception) -> Response:
    if isinstance(error, ModelNotFound):
        return respond(ApiError(404, "ModelNotFound", "no such model is served here; see /v2/models"))
    if isinstance(error, ModelNotReady):
        return respond(ApiError(503, "NotReady", "the model is not ready", headers={"Retry-After": "1"}))
    return respond(bad_request("RequestInvalid", "the request does not follow the protocol"))


# What none of them takes is the guard's.
HANDLERS: Mapping[Any, Any] = {
    ApiError: _api_error,
    HTTPException: _routing_error,
    ClientDisconnect: _client_left,
    InvalidInput: _sdk_error,
    ModelNotFound: _sdk_error,
    ModelNotReady: _sdk_error,
}
