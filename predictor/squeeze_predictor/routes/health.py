"""Health, metadata and metrics pages: GET and HEAD, never waiting for the model."""

from __future__ import annotations

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from squeeze_predictor.errors import ApiError, not_ready
from squeeze_predictor.network import Network
from squeeze_predictor.openapi import parts
from squeeze_predictor.openapi.document import document
from squeeze_predictor.routes.context import Context, json_response


class Pages:
    """The pages' handlers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lifecycle = context.lifecycle

    async def root(self, _: Request) -> Response:
        """`{"status": "alive"}`, as the SDK answers."""
        return json_response(await self._context.dataplane.live())

    async def metrics(self, request: Request) -> Response:
        """Prometheus text or OpenMetrics, as the client accepts."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(REGISTRY), headers={"Content-Type": content_type})

    async def openapi(self, _: Request) -> Response:
        """The description of every route; 503 before the model is loaded, whose limits it names."""
        given = parts.facts(self._context.settings, self._lifecycle.serving())
        return json_response(document(given))

    async def live(self, _: Request) -> Response:
        """503 once only a restart helps, so that the kubelet does restart."""
        if self._lifecycle.failure:
            raise ApiError(503, "NotLive", self._lifecycle.failure)
        return json_response({"live": True})

    async def ready(self, _: Request) -> Response:
        """503 before the model is loaded and from SIGTERM on; names the engine and precision that answer."""
        network = self._require_ready()
        engine = network.engine
        return json_response(
            {
                "ready": True,
                "engine": engine.name,
                "precision": engine.precision,
                "passed_over": list(network.passed_over),
            }
        )

    async def server_metadata(self, _: Request) -> Response:
        """Without the SDK's repository extension, which is switched off here."""
        metadata = self._context.dataplane.metadata()
        return json_response({**metadata, "extensions": ["binary_tensor_data"]})

    async def models(self, _: Request) -> Response:
        """The one model served here."""
        return json_response({"models": [self._context.model.name]})

    async def model_ready(self, request: Request) -> Response:
        """Like `ready`, for one name."""
        model_name = request.path_params["model_name"]
        self._context.require_model(model_name)
        self._require_ready()
        return json_response({"name": model_name, "ready": True})

    async def model_metadata(self, request: Request) -> Response:
        """V2 metadata and, under `properties`, what is really served and where."""
        model_name = request.path_params["model_name"]
        self._context.require_model(model_name)
        network = self._lifecycle.serving()
        described = await self._context.dataplane.model_metadata(model_name)
        described |= {"versions": [], "platform": "squeezenet", "properties": network.properties()}
        return json_response(described)

    def _require_ready(self) -> Network:
        if self._lifecycle.draining:
            raise not_ready("the server is shutting down")
        return self._lifecycle.serving()


def routes(context: Context) -> list[Route]:
    """The pages of this module."""
    pages = Pages(context)
    handlers = (
        ("/", pages.root),
        ("/metrics", pages.metrics),
        ("/openapi.json", pages.openapi),
        ("/v1/models", pages.models),
        ("/v1/models/{model_name}", pages.model_ready),
        ("/v2", pages.server_metadata),
        ("/v2/health/live", pages.live),
        ("/v2/health/ready", pages.ready),
        ("/v2/models", pages.models),
        ("/v2/models/{model_name}", pages.model_metadata),
        ("/v2/models/{model_name}/ready", pages.model_ready),
    )
    return [Route(path, handler, methods=["GET", "HEAD"]) for path, handler in handlers]
