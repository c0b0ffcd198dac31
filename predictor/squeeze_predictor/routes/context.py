"""What every route needs: the settings, the model, and answers as JSON bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.responses import Response

from squeeze_predictor.body import BodyReader
from squeeze_predictor.errors import model_not_found
from squeeze_predictor.lifecycle import Lifecycle
from squeeze_predictor.model import SqueezeModel
from squeeze_predictor.sdk import DataPlane
from squeeze_predictor.settings import Settings


@dataclass(frozen=True)
class Context:
    """Built once, at start."""

    settings: Settings
    lifecycle: Lifecycle
    model: SqueezeModel
    dataplane: DataPlane
    reader: BodyReader

    def require_model(self, name: str) -> None:
        """Raises ApiError 404 unless `name` is the model served here."""
        if self.dataplane.model_registry.get_model(name) is None:
            raise model_not_found(name, self.model.name)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; `content` may already be encoded."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Response(body, status_code=status, headers=headers, media_type="application/json")
