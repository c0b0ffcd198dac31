"""What must hold for every gRPC call, whatever its method: the counterpart of `guard.py`.

Counts and times it, shows it to the observers, and turns an error into a status with the reason beside it.
Messages are read and decoded here: the library would read one before it asks, and answers a damaged one with
its own exception, and logs a traceback.
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
from squeeze_predictor.grpc_message import MessageReader, Read
from squeeze_predictor.guard import log_unexpected
from squeeze_predictor.observing import Exchange, Observer, observed

REASON = "squeeze-reason"
# gRPC's codes for our HTTP ones (grpc/doc/http-grpc-status-mapping.md, read the other way).
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    499: grpc.StatusCode.CANCELLED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# Where gRPC has a code of its own.
CODES_OF_REASONS = {"BodiesFull": grpc.StatusCode.RESOURCE_EXHAUSTED}
# Clients with a retry policy wait as long (gRFC A6).
PUSHBACK = "grpc-retry-pushback-ms"
# What OpenTelemetry's conventions call an error of the server:
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc
FAILURES = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)

Call = Any  # grpc.aio.ServicerContext, untyped


class GrpcGuard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the library is untyped
    """Around the methods that answer once. The server has no others: streams are unknown methods.

    `heavy` is the method whose messages hold pictures.
    """

    def __init__(self, reader: MessageReader, heavy: str, observers: Sequence[Observer]) -> None:
        self._reader = reader
        self._heavy = heavy
        self._observers = observers

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return None

        reading = self._reader.for_model if details.method == self._heavy else self._reader.small

        async def request(read: Read, call: Call, exchange: Exchange) -> Any:
            message = await read(call)
            exchange.bytes_in = len(message)
            return handler.request_deserializer(message)

        async def method(call: Call, exchange: Exchange) -> bytes:
            async with reading() as read:
                # Nothing here keeps the message once it is decoded, nor what it was decoded to.
                answer = await handler.unary_unary(await request(read, call, exchange), call)
                return bytes(handler.response_serializer(answer))

        async def guarded(_messages: Any, call: Call) -> bytes:
            exchange = _exchange(details)
            with observed(self._observers, exchange), _counted(exchange):
                return await _answer(method, call, exchange)

        # To the client it is the same; of a stream the library leaves the reading to us.
        return grpc.stream_unary_rpc_method_handler(guarded)


async def _answer(
    method: Callable[[Call, Exchange], Awaitable[bytes]], call: Call, exchange: Exchange
) -> bytes:
    try:
        answer = await method(call, exchange)
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
        await _abort(call, exchange, _code(refusal), f"{refusal.message}{field}", *_trailing(refusal))
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


def _code(refusal: ApiError) -> grpc.StatusCode:
    by_status = CODES.get(refusal.status, grpc.StatusCode.INTERNAL)
    return CODES_OF_REASONS.get(refusal.reason, by_status)


def _trailing(refusal: ApiError) -> Iterator[tuple[str, str]]:
    yield REASON, refusal.reason
    if seconds := refusal.headers.get("Retry-After"):
        yield PUSHBACK, str(1000 * int(seconds))


def _exchange(details: grpc.HandlerCallDetails) -> Exchange:
    sent = dict(details.invocation_metadata or ())
    return Exchange(
        protocol="grpc",
        method=details.method.rpartition("/")[2],
        route=details.method,
        traceparent=str(sent.get("traceparent", "")),
        tracestate=str(sent.get("tracestate", "")),
        status=grpc.StatusCode.CANCELLED.name,
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
