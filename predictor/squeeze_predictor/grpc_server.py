"""V2 over gRPC, and gRPC's standard health service: the same answers as over HTTP, on a port of its own.

Imported only where it is asked for, after the HTTP port answers: gRPC's library takes a moment to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as service

from squeeze_predictor import protocol_grpc, tensors
from squeeze_predictor.errors import StartError
from squeeze_predictor.grpc_guard import GrpcGuard
from squeeze_predictor.grpc_message import MessageReader
from squeeze_predictor.network import Network
from squeeze_predictor.observing import Observer
from squeeze_predictor.routes.context import Context
from squeeze_predictor.work import Job, Work

SERVICE = "inference.GRPCInferenceService"
# INT_MAX in milliseconds, as gRPC spells an age without end.
UNLIMITED = 2**31 - 1

Call = Any  # grpc.aio.ServicerContext, untyped


class GrpcServer:
    """Listens from `start` on; beyond `concurrent` calls at a time the library refuses them unread."""

    def __init__(self, context: Context, concurrent: int, observers: Sequence[Observer] = ()) -> None:
        settings = context.settings
        options = [
            ("grpc.max_receive_message_length", settings.max_body),
            # By default two servers may share a port, and each gets some of the other's calls.
            ("grpc.so_reuseport", 0),
            # Otherwise windows grow to megabytes, which calls fill whose messages nobody reads yet. That of
            # a message which is read opens as far as the message goes.
            ("grpc.http2.bdp_probe", 0),
            # A stopping server breaks off calls that arrive while it says goodbye, and clients keep their
            # connections. So each ends in order within the drain, and its client goes on to a ready replica.
            ("grpc.max_connection_age_ms", connection_age(settings.drain_seconds)),
        ]
        reader = MessageReader(
            context.reader.budget, settings.max_body, settings.body_timeout, context.model.admission.full
        )
        self._server = grpc.aio.server(
            interceptors=[GrpcGuard(reader, f"/{SERVICE}/ModelInfer", observers)],
            options=options,
            maximum_concurrent_rpcs=concurrent,
        )
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


def connection_age(drain_seconds: float) -> int:
    """Milliseconds: half of the drain, so that the last calls of the oldest connection end within it.

    At least a second: a connection that ends before its first call has come would have the client open one
    after another, as fast as it can, for ever.
    """
    if drain_seconds == 0:
        return UNLIMITED
    return min(max(1000, round(500 * drain_seconds)), UNLIMITED)


class _Inference(service.GRPCInferenceServiceServicer):  # type: ignore[misc]  # the SDK is untyped
    """The service of the protocol. What administers models stays unimplemented, as over HTTP."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ServerLive(self, _: Any, _call: Call) -> Any:
        return pb.ServerLiveResponse(live=self._context.lifecycle.failure is None)

    async def ServerReady(self, _: Any, _call: Call) -> Any:
        return pb.ServerReadyResponse(ready=self._context.lifecycle.ready)

    async def ModelReady(self, request: Any, _call: Call) -> Any:
        self._context.require_model(request.name)
        return pb.ModelReadyResponse(ready=self._context.lifecycle.ready)

    async def ServerMetadata(self, _: Any, _call: Call) -> Any:
        described = self._context.dataplane.metadata()
        return pb.ServerMetadataResponse(name=described["name"], version=described["version"])

    async def ModelMetadata(self, request: Any, _call: Call) -> Any:
        self._context.require_model(request.name)
        self._context.lifecycle.serving()
        return protocol_grpc.metadata(await self._context.dataplane.model_metadata(request.name))

    async def ModelInfer(self, request: Any, _call: Call) -> Any:
        context = self._context
        context.require_model(request.model_name)
        context.lifecycle.serving()
        parsed = protocol_grpc.parse(request)
        # The tensors have been copied out of it, and while they wait it would take as much memory again.
        del request

        def parse(network: Network) -> Job:
            job = tensors.job(parsed, network)
            return replace(job, answer=lambda rows: protocol_grpc.encode(job.answer(rows)))

        work = Work(parse, heavy=False)
        answer, _ = await context.dataplane.infer(model_name=parsed.model_name, request=work)
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
