"""Prometheus metrics of the server, in the process-wide registry that the SDK's `/metrics` page shows.

Every label value comes from a closed set (route templates, status codes, reasons in the code), so no
client can make the page grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http import HTTPStatus
from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram

from squeeze_predictor.openapi import refusals

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS = Counter(
    "squeeze_requests_total", "Requests answered, by route and status code.", ["route", "code"]
)
REFUSED = Counter(
    "squeeze_requests_refused_total", "Requests answered with 4xx or 5xx, by reason.", ["reason"]
)
REQUEST_SECONDS = Histogram(
    "squeeze_request_seconds",
    "Time from the request's headers to the end of its answer.",
    ["route"],
    buckets=_SECONDS,
)
STAGE_SECONDS = Histogram(
    "squeeze_stage_seconds",
    "Time in one stage: queue (a picture waits for a worker), decode (a picture), infer (a batch), "
    "encode (an answer).",
    ["stage"],
    buckets=_SECONDS,
)
BATCH = Histogram(
    "squeeze_batch_pictures",
    "Pictures computed together.",
    buckets=(1, 2, 4, 8, 16, 32, 64),
)
CAPACITY = Gauge(
    "squeeze_capacity_pictures_per_second",
    "What this server can carry, measured at its start, by the pictures computed together.",
    ["batch"],
)
CAPACITY_SECONDS = Gauge(
    "squeeze_capacity_batch_seconds",
    "Time of one batch where nothing else runs, measured at the start.",
    ["batch"],
)
PICTURES = Counter("squeeze_pictures_total", "Pictures classified.")
IN_FLIGHT = Gauge("squeeze_requests_in_flight", "Requests begun and not yet answered.")
BODY_BYTES = Gauge(
    "squeeze_body_bytes",
    "Bytes of bodies and messages being read or answered; a message on its way counts as the largest.",
)
QUEUED = Gauge("squeeze_requests_queued", "Requests waiting for a worker.")
REJECTED = Counter("squeeze_requests_rejected_total", "Requests refused because the queue was full.")
ABANDONED = Counter(
    "squeeze_requests_abandoned_total", "Requests dropped unanswered because the client had left."
)
READY = Gauge("squeeze_model_ready", "1 while the model answers requests.")
MODEL_INFO = Gauge(
    "squeeze_model_info",
    "Always 1; says what is served.",
    ["model", "architecture", "engine", "device", "precision", "digest"],
)

PASSED_OVER = Gauge(
    "squeeze_engines_passed_over",
    "Engines and precisions that came first and could not be used; the log and the model's metadata say why.",
)

# Known from the start, so that a rate over the first one is right, and an alert sees the first failure.
for _stage in ("queue", "decode", "infer", "encode"):
    STAGE_SECONDS.labels(stage=_stage)
for _code, _reasons in refusals.REASONS.items():
    for _reason in _reasons if _code >= HTTPStatus.INTERNAL_SERVER_ERROR else ():
        REFUSED.labels(reason=_reason)


def untraced(_: str) -> AbstractContextManager[object]:
    """Around a stage where requests are not traced: nothing."""
    return nullcontext()


# What else goes around a stage; a span where requests are traced.
around_stage: Callable[[str], AbstractContextManager[object]] = untraced


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Times one stage of one batch, failed ones too."""
    began = perf_counter()
    try:
        with around_stage(name):
            yield
    finally:
        STAGE_SECONDS.labels(stage=name).observe(perf_counter() - began)
