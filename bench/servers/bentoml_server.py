"""BentoML: a service with one worker that takes an uploaded picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bentoml

from bench.servers.handler import Handler


@bentoml.service(workers=1)
class Classifier:
    def __init__(self) -> None:
        self.handler = Handler()

    @bentoml.api
    def predict(self, image: Path) -> dict[str, Any]:
        return self.handler(image.read_bytes())
