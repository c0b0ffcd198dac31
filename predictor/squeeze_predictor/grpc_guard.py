"""What must hold for every gRPC call, whatever its method: the counterpart of `guard.py`.

Counts and times it, shows it to the observers, and turns an error into a status with the reason beside it.
Messages are decoded here: the library answers a damaged one with its own exception, and logs a traceback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from squeeze_predictor import metrics
from squeeze_predictor.errors import ApiError, bad_request
from squeeze_predictor.guard import log_unexpected
from squeeze_predictor.observing import Exchange, Observer, observed

REASON = "squeeze-reason"
# gRPC's codes for our HTTP ones (grpc/doc/http-grpc-status-mapping.md, read the other way).
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    499: grpc.StatusCode.CANCELLED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# What OpenTelemetry's conventions call an error of the server:
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc
FAILURES = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)

Call = Any  # grpc.aio.ServicerContext, untyped


class GrpcGuard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the library is untyped
    """Around the methods that answer once. The server has no others: streams are unknown methods."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return None

        async def method(data: bytes, call: Call) -> bytes:
            answer = await handler.unary_unary(handler.request_deserializer(data), call)
            return bytes(handler.response_serializer(answer))

        async def guarded(data: bytes, call: Call) -> bytes:
            exchange = _exchange(details, len(data))
            with observed(self._observers, exchange), _counted(exchange):
                return await _answer(method, data, call, exchange)

        return grpc.unary_unary_rpc_method_handler(guarded)


async def _answer(
    method: Callable[[bytes, Call], Awaitable[bytes]], data: bytes, call: Call, exchange: Exchange
) -> bytes:
    try:
        answer = await method(data, call)
    except grpc.aio.AbortError:
        exchange.status = call.code().name
        raise
    except asyncio.CancelledError:
        # The client cancelled or left, or the deadline passed.
        metrics.ABANDONED.inc()
        raise
    except NotImplementedError:
        await _abort(call, exchange, grpc.StatusCode.UNIMPLEMENTED, "this server does not have this method")
        raise
    except Exception as error:
        refusal = _refusal(error)
        metrics.REFUSED.labels(reason=refusal.reason).inc()
        field = f" ({refusal.field})" if refusal.field else ""
        code = CODES.get(refusal.status, grpc.StatusCode.INTERNAL)
        await _abort(call, exchange, code, f"{refusal.message}{field}", (REASON, refusal.reason))
        raise
    exchange.status, exchange.bytes_out = grpc.StatusCode.OK.name, len(answer)
    return answer


async def _abort(
    call: Call, exchange: Exchange, code: grpc.StatusCode, message: str, *trailing: tuple[str, str]
) -> None:
    exchange.status = code.name
    exchange.failed = code.name in FAILURES
    await call.abort(code, message, trailing)


def _refusal(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, DecodeError):
        return bad_request("RequestInvalid", "the message is damaged, or not one of this method")
    # The library would send the client the exception's own words.
    log_unexpected(error)
    return ApiError(500, "InternalError", "the server failed to answer this request")


def _exchange(details: grpc.HandlerCallDetails, size: int) -> Exchange:
    sent = dict(details.invocation_metadata or ())
    return Exchange(
        protocol="grpc",
        method=details.method.rpartition("/")[2],
        route=details.method,
        traceparent=str(sent.get("traceparent", "")),
        tracestate=str(sent.get("tracestate", "")),
        status=grpc.StatusCode.CANCELLED.name,
        bytes_in=size,
    )


@contextmanager
def _counted(exchange: Exchange) -> Iterator[None]:
    began = perf_counter()
    metrics.IN_FLIGHT.inc()
    try:
        yield
    finally:
        metrics.IN_FLIGHT.dec()
        metrics.REQUESTS.labels(route=exchange.route, code=str(exchange.status)).inc()
        metrics.REQUEST_SECONDS.labels(route=exchange.route).observe(perf_counter() - began)
