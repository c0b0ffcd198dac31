"""TorchServe's custom handler: it gets a list of requests, of one each unless batching is on."""

from __future__ import annotations

from typing import Any

from bench.servers.handler import Handler


class Classifier:
    """`initialize` once, then `handle` for each batch, as TorchServe asks of a handler class."""

    def initialize(self, context: Any) -> None:  # noqa: ARG002
        self.handler = Handler()

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        return self.handler.batch([bytes(row["body"]) for row in data])
