"""The whole OpenAPI document."""

from __future__ import annotations

from squeeze_predictor.openapi import health, refusals, v1, v2
from squeeze_predictor.openapi.parts import Facts, Json

OPENAPI = "3.1.0"
DESCRIPTION = (
    "Classifies pictures by KServe's V1 and V2 (Open Inference) protocols and as raw bytes. Every refusal "
    "has one shape. An unknown page is refused with 404 RouteNotFound, another method with 405 "
    "MethodNotAllowed; OPTIONS is answered with 204 and the header Allow."
)


def document(given: Facts) -> Json:
    """The server's routes with its model's name and its limits, as a JSON object."""
    described = (health, v1, v2)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": f"SqueezeNet classifier '{given.model}'",
            "version": "1",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {path: item for module in described for path, item in module.paths(given).items()},
        "components": {
            "schemas": {
                name: schema for module in described for name, schema in module.schemas(given).items()
            },
            "responses": refusals.components(),
        },
    }
