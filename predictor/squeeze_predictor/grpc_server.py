"""V2 over gRPC, and gRPC's standard health service: the same answers as over HTTP, on a port of its own.

Imported only where it is asked for, after the HTTP port answers: gRPC's library takes a moment to load.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import perf_counter
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as service

from squeeze_predictor import metrics, protocol_grpc, tensors
from squeeze_predictor.errors import ApiError, StartError
from squeeze_predictor.guard import log_unexpected
from squeeze_predictor.network import Network
from squeeze_predictor.routes.context import Context
from squeeze_predictor.work import Job, Work

SERVICE = "inference.GRPCInferenceService"
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

Call = Any  # grpc.aio.ServicerContext, untyped


class GrpcServer:
    """Listens from `start` on; beyond `concurrent` calls at a time the library refuses them unread."""

    def __init__(self, context: Context, concurrent: int) -> None:
        settings = context.settings
        options = [
            ("grpc.max_receive_message_length", settings.max_body),
            # By default two servers may share a port, and each gets some of the other's calls.
            ("grpc.so_reuseport", 0),
            # A stopping server breaks off calls that arrive while it says goodbye, and clients keep their
            # connections. So each ends in order within the drain, and its client goes on to a ready replica.
            ("grpc.max_connection_age_ms", _connection_age(settings.drain_seconds)),
        ]
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=concurrent)
        service.add_GRPCInferenceServiceServicer_to_server(_Inference(context), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(_Health(context), self._server)
        self._address = f"{settings.host}:{settings.grpc_port}"

    async def start(self) -> None:
        """Bind and answer. Raises StartError where the port is taken."""
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError:
            raise StartError(
                "ConfigInvalid", f"--grpc-port: {self._address} is taken or not of this machine; 0 is no gRPC"
            ) from None
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Take no more requests, and finish those in flight within the time."""
        await self._server.stop(grace_seconds)


def _connection_age(drain_seconds: float) -> int:
    """Milliseconds; the library adds up to a tenth, and the last calls need the rest of the drain."""
    return min(max(1, round(800 * drain_seconds)), 2**31 - 1)


class _Inference(service.GRPCInferenceServiceServicer):  # type: ignore[misc]  # the SDK is untyped
    """The service of the protocol. What administers models stays unimplemented, as over HTTP."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ServerLive(self, _: Any, call: Call) -> Any:
        async with _answering("ServerLive", call):
            return pb.ServerLiveResponse(live=self._context.lifecycle.failure is None)

    async def ServerReady(self, _: Any, call: Call) -> Any:
        async with _answering("ServerReady", call):
            return pb.ServerReadyResponse(ready=self._context.lifecycle.ready)

    async def ModelReady(self, request: Any, call: Call) -> Any:
        async with _answering("ModelReady", call):
            self._context.require_model(request.name)
            return pb.ModelReadyResponse(ready=self._context.lifecycle.ready)

    async def ServerMetadata(self, _: Any, call: Call) -> Any:
        async with _answering("ServerMetadata", call):
            described = self._context.dataplane.metadata()
            return pb.ServerMetadataResponse(name=described["name"], version=described["version"])

    async def ModelMetadata(self, request: Any, call: Call) -> Any:
        async with _answering("ModelMetadata", call):
            self._context.require_model(request.name)
            self._context.lifecycle.serving()
            return protocol_grpc.metadata(await self._context.dataplane.model_metadata(request.name))

    async def ModelInfer(self, request: Any, call: Call) -> Any:
        async with _answering("ModelInfer", call):
            context = self._context
            context.require_model(request.model_name)
            context.lifecycle.serving()

            async def client_left() -> bool:
                return bool(call.cancelled())

            def parse(network: Network) -> Job:
                job = tensors.job(protocol_grpc.parse(request), network)
                return replace(job, answer=lambda rows: protocol_grpc.encode(job.answer(rows)))

            work = Work(parse, client_left, heavy=False)
            answer, _ = await context.dataplane.infer(model_name=request.model_name, request=work)
            return answer


class _Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the library is untyped
    """grpc.health.v1: what the kubelet's gRPC probe and load balancers ask."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def Check(self, request: Any, call: Call) -> Any:
        if request.service not in ("", SERVICE):
            await call.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        statuses = health_pb2.HealthCheckResponse
        ready = self._context.lifecycle.ready
        return statuses(status=statuses.SERVING if ready else statuses.NOT_SERVING)


@asynccontextmanager
async def _answering(method: str, call: Call) -> AsyncIterator[None]:
    """Counts and times a call, and turns an error into a status with the reason beside it."""
    route, code, began = f"/{SERVICE}/{method}", "CANCELLED", perf_counter()
    metrics.IN_FLIGHT.inc()
    try:
        yield
        code = "OK"
    except ApiError as error:
        metrics.REFUSED.labels(reason=error.reason).inc()
        status = CODES.get(error.status, grpc.StatusCode.INTERNAL)
        code = status.name
        field = f" ({error.field})" if error.field else ""
        await call.abort(status, f"{error.message}{field}", ((REASON, error.reason),))
    except asyncio.CancelledError:
        # The client cancelled or left, or the deadline passed.
        metrics.ABANDONED.inc()
        raise
    except Exception as error:
        # The library would send the client the exception's own words.
        log_unexpected(error)
        code = grpc.StatusCode.INTERNAL.name
        metrics.REFUSED.labels(reason="InternalError").inc()
        await call.abort(
            grpc.StatusCode.INTERNAL, "the server failed to answer this request", ((REASON, "InternalError"),)
        )
    finally:
        metrics.IN_FLIGHT.dec()
        metrics.REQUESTS.labels(route=route, code=code).inc()
        metrics.REQUEST_SECONDS.labels(route=route).observe(perf_counter() - began)
