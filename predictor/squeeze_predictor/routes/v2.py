"""POST /v2/models/<name>/infer, with JSON, JSON and binary tensors, or a raw picture."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from squeeze_predictor import content, patience, protocol_v1, protocol_v2, tensors
from squeeze_predictor.content import Kind
from squeeze_predictor.errors import ApiError
from squeeze_predictor.network import Network
from squeeze_predictor.routes.context import Context, json_response
from squeeze_predictor.routes.v1 import body_limit
from squeeze_predictor.sdk import InferRequest
from squeeze_predictor.settings import Settings
from squeeze_predictor.signature import JSON_LENGTH
from squeeze_predictor.work import Job, Work


def routes(context: Context) -> list[Route]:
    """The infer route."""

    async def infer(request: Request) -> Response:
        model_name = request.path_params["model_name"]
        context.require_model(model_name)
        end = patience.deadline(request)
        query_top_k = protocol_v1.parse_top_k(request.query_params.get("top_k"))
        content_type = request.headers.get("content-type", "")
        json_length = request.headers.get(JSON_LENGTH)
        context.lifecycle.serving()

        def parse(body: bytes, network: Network) -> Job:
            parsed = _parse(body, content_type, json_length, request, model_name, context.settings)
            job = tensors.job(parsed, network, query_top_k)
            return replace(job, answer=lambda rows: protocol_v2.encode(job.answer(rows)))

        async with context.reader.read(request, body_limit(content_type, context.settings)) as body:
            # Base64 in JSON takes long; a raw picture and binary tensors are only cut out.
            heavy = json_length is None and not content_type.startswith("image/")
            work = Work(partial(parse, body), heavy)
            wire, _ = await patience.answer(
                request, end, context.dataplane.infer(model_name=model_name, request=work)
            )
        if wire.json_length is None:
            return json_response(wire.body)
        return Response(
            wire.body, media_type="application/octet-stream", headers={JSON_LENGTH: str(wire.json_length)}
        )

    return [Route("/v2/models/{model_name}/infer", infer, methods=["POST"])]


def _parse(
    body: bytes,
    content_type: str,
    json_length: str | None,
    request: Request,
    model_name: str,
    settings: Settings,
) -> InferRequest:
    # The header says that JSON comes first, whatever Content-Type the client's library chose.
    if json_length is not None:
        return protocol_v2.parse(body, json_length, model_name, settings.max_bytes)
    kind = content.kind_of(content_type, body, request.url.path)
    if kind is Kind.MULTIPART:
        raise ApiError(
            415,
            "MediaTypeUnsupported",
            "V2 takes JSON or a raw picture; send forms to the V1 route, or use: curl --data-binary @cat.jpg "
            f"-H 'Content-Type: image/jpeg' http://HOST{request.url.path}",
            field="Content-Type",
        )
    if kind is Kind.PICTURE:
        return tensors.picture_request(model_name, body)
    return protocol_v2.parse(body, None, model_name, settings.max_bytes)
