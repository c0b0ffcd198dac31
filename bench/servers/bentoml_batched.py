"""BentoML with adaptive batching: the interface takes and gives a list, and requests' lists are joined."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml

from bench.servers.handler import Handler


@bentoml.service(workers=1)
class Classifier:
    def __init__(self) -> None:
        self.handler = Handler()

    @bentoml.api(batchable=True, max_batch_size=int(os.environ["BENCH_BATCH"]))
    def predict(self, images: list[Path]) -> list[dict[str, Any]]:
        return self.handler.batch([image.read_bytes() for image in images])
