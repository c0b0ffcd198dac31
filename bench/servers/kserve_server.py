"""The KServe SDK's model server with a custom model, V1 with base64."""

import base64
import os
from typing import Any

from kserve import Model, ModelServer

from bench.servers.handler import Handler


class Classifier(Model):
    def __init__(self) -> None:
        super().__init__("squeezenet")
        self._handler = Handler()
        self.ready = True

    def predict(self, payload: dict[str, Any], headers: Any = None) -> dict[str, Any]:  # noqa: ARG002
        return self._handler(base64.b64decode(payload["instances"][0]["b64"]))


server = ModelServer(http_port=int(os.environ["BENCH_PORT"]), enable_grpc=False, workers=1)
server.start([Classifier()])
