"""POST /v1/models/<name>:predict, with JSON, a raw picture or a multipart form.

PUT means the same, since that is what `curl -T cat.jpg` sends.
"""

from __future__ import annotations

from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from squeeze_predictor import content, patience, protocol_v1
from squeeze_predictor.content import Kind
from squeeze_predictor.network import Network, Picture
from squeeze_predictor.routes.context import Context, json_response
from squeeze_predictor.settings import Settings
from squeeze_predictor.work import Job, Work


def routes(context: Context) -> list[Route]:
    """The predict route."""

    async def predict(request: Request) -> Response:
        model_name = request.path_params["model_name"]
        context.require_model(model_name)
        end = patience.deadline(request)
        top_k = protocol_v1.parse_top_k(request.query_params.get("top_k"))
        content_type = request.headers.get("content-type", "")
        classes = context.lifecycle.serving().top_k(top_k)
        async with context.reader.read(request, body_limit(content_type, context.settings)) as body:
            kind = content.kind_of(content_type, body, request.url.path)

            def parse(network: Network) -> Job:
                pictures = _pictures(kind, body, content_type, context.settings)
                parts = network.picture_parts(pictures, classes)
                return Job(parts, protocol_v1.answer)

            work = Work(parse, heavy=kind is not Kind.PICTURE)
            answer, _ = await patience.answer(
                request, end, context.dataplane.infer(model_name=model_name, request=work)
            )
        return json_response(answer)

    class Predict(HTTPEndpoint):
        """Takes all methods: GET would else reach the page of a model that is named "<name>:predict"."""

        async def post(self, request: Request) -> Response:
            return await predict(request)

        put = post

    return [Route("/v1/models/{model_name}:predict", Predict)]


def body_limit(content_type: str, settings: Settings) -> int:
    """A raw picture may be as large as one picture; other bodies hold several, or base64."""
    is_picture = content.media_type(content_type).startswith("image/")
    return settings.max_bytes if is_picture else settings.max_body


def _pictures(kind: Kind, body: bytes, content_type: str, settings: Settings) -> list[Picture]:
    if kind is Kind.JSON:
        return protocol_v1.parse(body, settings.max_batch, settings.max_bytes)
    if kind is Kind.MULTIPART:
        return content.multipart_pictures(content_type, body, settings.max_batch)
    return [Picture(body, "body")]
