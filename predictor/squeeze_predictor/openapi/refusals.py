"""Every refusal in its one shape: which reasons each status code has."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

REASONS: dict[int, tuple[str, ...]] = {
    400: (
        *("PictureInvalid", "PictureUnsupported", "PictureEmpty", "BatchEmpty", "BatchTooLarge"),
        *("TopKInvalid", "Base64Invalid", "JsonInvalid", "RequestInvalid", "MultipartInvalid"),
        *("TensorInvalid", "ShapeInvalid", "ShapeMismatch", "DatatypeInvalid", "InputUnknown"),
        *("OutputUnknown", "HeaderInvalid"),
    ),
    404: ("ModelNotFound", "RouteNotFound"),
    405: ("MethodNotAllowed",),
    408: ("BodyTimeout",),
    413: ("PictureTooLarge", "PictureTooManyPixels", "BodyTooLarge"),
    415: ("MediaTypeUnsupported",),
    500: ("InferenceFailed", "InternalError"),
    503: ("NotReady", "NotLive", "QueueFull", "BodiesFull", "OutOfMemory", "EngineBroken"),
    504: ("QueueTimeout", "DeadlineExceeded"),
}
_HEADERS: dict[int, dict[str, Any]] = {
    405: {"Allow": ("The methods that this page takes.", {"type": "string"}, True)},
    503: {"Retry-After": ("Seconds to wait.", {"type": "integer", "minimum": 1}, False)},
    504: {"Retry-After": ("Seconds to wait.", {"type": "integer", "minimum": 1}, True)},
}


def responses(*codes: int) -> dict[str, Any]:
    """References to the refusals of an operation."""
    return {str(code): {"$ref": f"#/components/responses/{_name(code)}"} for code in sorted(codes)}


def components() -> dict[str, Any]:
    """A response for each code, for the document's components."""
    return {_name(code): _response(code) for code in REASONS}


def _name(code: int) -> str:
    return f"Refusal{code}"


def _response(code: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": HTTPStatus(code).phrase,
        "content": {"application/json": {"schema": _schema(code)}},
    }
    if code in _HEADERS:
        response["headers"] = {
            name: {"description": text, "schema": schema, "required": required}
            for name, (text, schema, required) in _HEADERS[code].items()
        }
    return response


def _schema(code: int) -> dict[str, Any]:
    error = {
        "type": "object",
        "properties": {
            "code": {"const": code},
            "reason": {"enum": list(REASONS[code]), "description": "For programs."},
            "message": {"type": "string", "description": "Says what to change."},
            "field": {"type": "string", "description": "Where in the request the problem is."},
        },
        "required": ["code", "reason", "message"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"error": error},
        "required": ["error"],
        "additionalProperties": False,
    }
