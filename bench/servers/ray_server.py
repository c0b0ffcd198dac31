"""Ray Serve: one replica behind its HTTP proxy; BENCH_BATCH is the largest batch of `serve.batch`."""

import os
import time
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

BATCH = int(os.environ["BENCH_BATCH"])


@serve.deployment(num_replicas=1, max_ongoing_requests=64)
class Classifier:
    def __init__(self) -> None:
        from bench.servers.handler import Handler

        self.handler = Handler()

    async def __call__(self, request: Request) -> dict[str, Any]:
        return self.handler(await request.body())


@serve.deployment(num_replicas=1, max_ongoing_requests=64)
class BatchedClassifier:
    def __init__(self) -> None:
        from bench.servers.handler import Handler

        self.handler = Handler()

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0.1)
    async def classify(self, pictures: list[bytes]) -> list[dict[str, Any]]:
        return self.handler.batch(pictures)

    async def __call__(self, request: Request) -> dict[str, Any]:
        answer: dict[str, Any] = await self.classify(await request.body())
        return answer


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
deployment: Any = Classifier if BATCH == 1 else BatchedClassifier
serve.run(deployment.bind(), route_prefix="/predict")
while True:
    time.sleep(3600)
