"""Why a reconcile has failed, in one word of a small set: a label of the metrics and a field of the log."""

from http import HTTPStatus

from squeeze_operator import metrics
from squeeze_operator.api import ApiError

REASONS = (
    "Unreachable",
    "Conflict",
    "Throttled",
    "Refused",
    "Missing",
    "ServerError",
    "Timeout",
    "InternalError",
)
_BY_STATUS = {
    0: "Unreachable",
    HTTPStatus.CONFLICT: "Conflict",
    HTTPStatus.TOO_MANY_REQUESTS: "Throttled",
    HTTPStatus.NOT_FOUND: "Missing",
}
# Known from the start, so that a rate over the first failure is right.
for _reason in REASONS:
    metrics.RECONCILE_ERRORS.labels(_reason)


def failure_reason(error: Exception) -> str:
    """One of REASONS: Timeout for a TimeoutError, InternalError for anything but an ApiError."""
    if isinstance(error, TimeoutError):
        return "Timeout"
    if not isinstance(error, ApiError):
        return "InternalError"
    if error.status >= 500:
        return "ServerError"
    return _BY_STATUS.get(error.status, "Refused")
