"""Describes the pages of `routes/health.py`. Every page answers GET, and HEAD without a body."""

from __future__ import annotations

from squeeze_predictor.openapi.parts import (
    Facts,
    Json,
    answer,
    closed,
    listed,
    model_name,
    operation,
    ref,
)

_TEXT: Json = {"type": "string"}
_READY: Json = {"const": True}
_PRECISION: Json = {"enum": ["f32", "bf16", "int8"]}
_SIZE: Json = {"type": "integer", "minimum": 1}
_ABOVE_0: Json = {"type": "number", "exclusiveMinimum": 0}


def paths(given: Facts) -> Json:
    """The path items of the pages."""
    named = [model_name(given)]
    models = answer("The model's name.", closed({"models": listed({"const": given.model}, 1, 1)}))
    ready = answer("The model is ready.", closed({"name": {"const": given.model}, "ready": _READY}))
    described = answer("Inputs, outputs and what is served.", ref("ModelMetadata"))
    return {
        "/": _page(
            "root",
            "Whether the process answers",
            answer("It does.", closed({"status": {"const": "alive"}})),
        ),
        "/metrics": _page("metrics", "Prometheus metrics", _metrics()),
        "/openapi.json": _page(
            "openapi", "This document", answer("OpenAPI 3.1.", {"type": "object"}), refused=(503,)
        ),
        "/v1/models": _page("v1_models", "The models", models),
        "/v1/models/{model_name}": _page(
            "v1_ready", "Whether the model is ready", ready, (404, 503), parameters=named
        ),
        "/v2": _page("v2_server", "The server's metadata", answer("The SDK behind it.", ref("Server"))),
        "/v2/health/live": _page(
            "v2_live", "Liveness probe", answer("It is alive.", closed({"live": _READY})), (503,)
        ),
        "/v2/health/ready": _page(
            "v2_server_ready", "Readiness probe", answer("The engine that answers.", ref("Ready")), (503,)
        ),
        "/v2/models": _page("v2_models", "The models", models),
        "/v2/models/{model_name}": _page(
            "v2_metadata", "The model's metadata", described, (404, 503), parameters=named
        ),
        "/v2/models/{model_name}/ready": _page(
            "v2_ready", "Whether the model is ready", ready, (404, 503), parameters=named
        ),
    }


def schemas(given: Facts) -> Json:
    """The schemas that the pages refer to."""
    tensor = closed({"name": _TEXT, "datatype": _TEXT, "shape": listed({"type": "integer", "minimum": -1})})
    properties = {
        "weights": _TEXT,
        "weights_digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        "architecture": {"enum": ["squeezenet1_0", "squeezenet1_1"]},
        "num_classes": {"const": given.num_classes},
        "engine": _TEXT,
        "precision": _PRECISION,
        "device": _TEXT,
        "requested_device": {"enum": ["auto", "cpu", "cuda"]},
        "passed_over": listed(_TEXT),
        "batch_size": _SIZE,
        "capacity": listed(closed({"batch": _SIZE, "pictures_per_second": _ABOVE_0, "seconds": _ABOVE_0})),
    }
    return {
        "Ready": closed(
            {"ready": _READY, "engine": _TEXT, "precision": _PRECISION, "passed_over": listed(_TEXT)}
        ),
        "Server": closed({"name": _TEXT, "version": _TEXT, "extensions": listed(_TEXT)}),
        "ModelMetadata": closed(
            {
                "name": {"const": given.model},
                "versions": listed(_TEXT),
                "platform": {"const": "squeezenet"},
                "inputs": listed(tensor, 2, 2),
                "outputs": listed(tensor, 3, 3),
                "properties": {"type": "object", "properties": properties, "required": list(properties)},
            }
        ),
    }


def _metrics() -> Json:
    text = {"schema": _TEXT}
    content = {"text/plain": text, "application/openmetrics-text": text}
    return {"description": "Text, in the form that Accept asks for.", "content": content}


def _page(
    name: str,
    summary: str,
    response: Json,
    refused: tuple[int, ...] = (),
    parameters: list[Json] | None = None,
) -> Json:
    shared: Json = {"parameters": parameters} if parameters else {}
    head = {key: value for key, value in response.items() if key != "content"}
    return {
        **shared,
        "get": operation(f"{name}_get", "pages", summary, {"200": response}, refused),
        "head": operation(f"{name}_head", "pages", summary, {"200": head}, refused),
    }
