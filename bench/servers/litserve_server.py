"""LitServe; BENCH_BATCH is its dynamic batching's largest batch, which is off at 1."""

import base64
import os
from typing import Any

import litserve as ls

from bench.servers.handler import Handler

BATCH = int(os.environ["BENCH_BATCH"])


class Api(ls.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002
        self.handler = Handler()

    def decode_request(self, request: dict[str, Any]) -> bytes:
        return base64.b64decode(request["instances"][0]["b64"])

    def predict(self, picture: bytes) -> dict[str, Any]:
        return self.handler(picture)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


class BatchedApi(Api):
    """LitServe collects requests to lists and takes the answers apart again."""

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, pictures: list[bytes]) -> list[dict[str, Any]]:  # type: ignore[override]
        return self.handler.batch(pictures)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return output


if __name__ == "__main__":
    api = Api() if BATCH == 1 else BatchedApi(max_batch_size=BATCH, batch_timeout=0.05)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), generate_client_file=False, log_level="warning"
    )
