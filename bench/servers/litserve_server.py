"""LitServe; BENCH_BATCH sets its dynamic batching, which is off at 1."""

import base64
import os
from typing import Any

import litserve as ls

from bench.servers.handler import Handler


class Api(ls.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002
        self.handler = Handler()

    def decode_request(self, request: dict[str, Any]) -> bytes:
        return base64.b64decode(request["instances"][0]["b64"])

    def predict(self, picture: bytes) -> dict[str, Any]:
        return self.handler(picture)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = ls.LitServer(Api(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), generate_client_file=False, log_level="warning"
    )
