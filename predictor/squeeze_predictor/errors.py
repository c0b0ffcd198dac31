"""The errors of the server: one for a request that is refused, one for a start that fails.

Every refusal, whatever raised it, leaves the server in one JSON shape. Messages say what to change and
never repeat what a client sent beyond a shortened, escaped name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

EXIT_CONFIG = 2
EXIT_NO_CUDA = 3

# nginx's code for "client closed request"; only metrics ever see it.
CLIENT_CLOSED = 499

_NAME_LIMIT = 64


class ApiError(Exception):
    """A request that is answered with a 4xx or 5xx.

    Args:
        status: HTTP status code.
        reason: CamelCase word for programs; also a metric label, so always a constant of the code.
        message: one sentence for people, saying what to change.
        field: where in the request the problem is, e.g. `instances[0].b64`.
        headers: extra response headers, e.g. `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.field = field
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON body: `{"error": {"code", "reason", "message", "field"?}}`."""
        error: dict[str, Any] = {"code": self.status, "reason": self.reason, "message": self.message}
        if self.field is not None:
            error["field"] = self.field
        return {"error": error}


# Not frozen: a context manager that it passes through sets its traceback.
@dataclass(eq=False)
class StartError(Exception):
    """The server cannot start; the process ends with `exit_code` and one line `<reason>: <message>`."""

    reason: str
    message: str
    exit_code: int = field(default=EXIT_CONFIG)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def shown(name: str) -> str:
    """A client's word made safe to repeat: printable ASCII, in quotes, at most 64 characters."""
    return ascii(name if len(name) <= _NAME_LIMIT else name[:_NAME_LIMIT] + "...")


def bad_request(reason: str, message: str, field: str | None = None) -> ApiError:
    """A 400 that names the field."""
    return ApiError(HTTPStatus.BAD_REQUEST, reason, message, field=field)


def too_large(message: str, field: str, reason: str) -> ApiError:
    """A 413; the message names the limit."""
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason, message, field=field)


def model_not_found(name: str, known: str) -> ApiError:
    """A 404 that names the model served here."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        "ModelNotFound",
        f"no model named {shown(name)} is served here; this server has {shown(known)}",
    )


def not_ready(message: str) -> ApiError:
    """A 503 for the time before the model is loaded and after the order to stop."""
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "NotReady", message, headers={"Retry-After": "1"})
