"""What the descriptions of all routes share: facts about this server, parameters, bodies, JSON schemas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from squeeze_predictor import patience
from squeeze_predictor.network import Network
from squeeze_predictor.openapi import refusals
from squeeze_predictor.settings import Settings

Json = dict[str, Any]

# A grey pixel, so that the examples can be sent as they stand.
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
ANY_PICTURE = "image/*"


@dataclass(frozen=True)
class Facts:
    """What a description depends on. Sizes in bytes; ``crop``: side of the network's input, in pixels."""

    model: str
    num_classes: int
    crop: int
    default_top_k: int
    max_batch: int
    max_bytes: int
    max_pixels: int
    max_body: int


def facts(settings: Settings, network: Network) -> Facts:
    """The facts of a server that has loaded its network."""
    return Facts(
        model=settings.model_name,
        num_classes=network.num_classes,
        crop=network.crop,
        default_top_k=network.top_k(None),
        max_batch=settings.max_batch,
        max_bytes=settings.max_bytes,
        max_pixels=settings.max_pixels,
        max_body=settings.max_body,
    )


def model_name(given: Facts) -> Json:
    """The path parameter; a server has one model."""
    return {
        "name": "model_name",
        "in": "path",
        "required": True,
        "description": "The one model that is served here.",
        "schema": {"type": "string", "enum": [given.model]},
    }


def top_k(given: Facts) -> Json:
    """The query parameter of both prediction routes."""
    return {
        "name": "top_k",
        "in": "query",
        "description": "How many classes an answer holds for each picture, the most probable first.",
        "schema": {**count(given.num_classes, least=1), "default": given.default_top_k},
    }


def deadline() -> Json:
    """The header of both prediction routes that says how long the client waits."""
    return {
        "name": patience.HEADER,
        "in": "header",
        "description": "Milliseconds after which nobody waits for the answer any more; 0 is no limit.",
        "schema": count(10**patience.DIGITS - 1, least=0),
    }


def operation(
    name: str, tag: str, summary: str, responses: Mapping[str, Json], refused: tuple[int, ...], **more: Any
) -> Json:
    """One operation; ``refused`` are the codes of its refusals, beside 500."""
    all_responses = {**responses, **refusals.responses(*refused, 500)}
    return {"operationId": name, "tags": [tag], "summary": summary, **more, "responses": all_responses}


def answer(description: str, schema: Json, media_type: str = "application/json") -> Json:
    """A response with a body."""
    return {"description": description, "content": {media_type: {"schema": schema}}}


def ref(name: str) -> Json:
    """A schema of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(properties: Json, *optional: str) -> Json:
    """An object with these properties and no others; all are there but the optional ones."""
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def listed(items: Json, least: int = 0, most: int | None = None) -> Json:
    """An array of ``least`` to ``most`` items."""
    bounds = {"minItems": least} if most is None else {"minItems": least, "maxItems": most}
    return {"type": "array", "items": items, **bounds}


def count(most: int, least: int = 0) -> Json:
    """A whole number."""
    return {"type": "integer", "minimum": least, "maximum": most}


def shape(*sides: Json, least: int | None = None) -> Json:
    """A tensor's shape, side by side; those beyond ``least`` may be left out."""
    fewest = len(sides) if least is None else least
    return {"type": "array", "prefixItems": list(sides), "minItems": fewest, "maxItems": len(sides)}


def base64_picture(given: Facts) -> Json:
    """A picture as text."""
    return {
        "type": "string",
        "contentEncoding": "base64",
        "contentMediaType": ANY_PICTURE,
        "description": f"A picture of at most {given.max_bytes} bytes and {given.max_pixels} pixels.",
    }


def raw_picture(given: Facts) -> Json:
    """A body that is a picture."""
    return {"schema": {"maxLength": given.max_bytes}}
