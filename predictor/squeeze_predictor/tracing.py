"""OpenTelemetry spans of requests and of their stages, sent over OTLP/HTTP.

Where to, how many and as which service is for the standard variables to say
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from squeeze_predictor import metrics
from squeeze_predictor.guard import NO_ROUTE
from squeeze_predictor.observing import Exchange

SERVICE = "squeeze-predictor"
# A receiver that does not answer must not hold up the end of the process.
CLOSE_SECONDS = 3.0
# An exception's words and frames may quote what the client sent.
_SILENT: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}


class Tracing:
    """An observer: a server span for each request, within the trace that its traceparent names."""

    def __init__(self) -> None:
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("squeeze_predictor")
        self._propagator = TraceContextTextMapPropagator()
        metrics.around_stage = self.stage

    @contextmanager
    def __call__(self, exchange: Exchange) -> Iterator[None]:
        sent = {"traceparent": exchange.traceparent, "tracestate": exchange.tracestate}
        # Into an empty context: a span of another request must never become the parent.
        parent = self._propagator.extract(sent, trace.set_span_in_context(trace.INVALID_SPAN))
        with self._tracer.start_as_current_span(
            exchange.method, parent, SpanKind.SERVER, end_on_exit=True, **_SILENT
        ) as span:
            exchange.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
            try:
                yield
            finally:
                span.update_name(_name(exchange))
                span.set_attributes(_attributes(exchange))
                if exchange.failed:
                    span.set_status(StatusCode.ERROR)

    def stage(self, name: str) -> AbstractContextManager[object]:
        """A span of a stage, where it is one of a request."""
        if not trace.get_current_span().get_span_context().is_valid:
            return nullcontext()
        return self._tracer.start_as_current_span(name, **_SILENT)

    def close(self) -> None:
        """Send what is left, within a few seconds."""
        metrics.around_stage = metrics.untraced
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def _resource() -> Resource:
    """What the standard variables say of this service, and its name where they say none."""
    found = Resource.create()
    named = not str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service")
    return found if named else found.merge(Resource({SERVICE_NAME: SERVICE}))


def _name(exchange: Exchange) -> str:
    if exchange.protocol == "grpc":
        return exchange.route.removeprefix("/")
    return exchange.method if exchange.route == NO_ROUTE else f"{exchange.method} {exchange.route}"


def _attributes(exchange: Exchange) -> dict[str, str | int]:
    """By OpenTelemetry's conventions for HTTP and RPC servers."""
    if exchange.protocol == "grpc":
        return {
            "rpc.system": "grpc",
            "rpc.service": exchange.route.removeprefix("/").rpartition("/")[0],
            "rpc.method": exchange.method,
            "rpc.response.status_code": exchange.status,
        }
    route = {} if exchange.route == NO_ROUTE else {"http.route": exchange.route}
    return {
        **route,
        "http.request.method": exchange.method,
        "http.response.status_code": exchange.status,
        "http.request.body.size": exchange.bytes_in,
        "http.response.body.size": exchange.bytes_out,
    }
