"""Ray Serve: one replica behind its HTTP proxy."""

import os
import time
from typing import Any

import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=64)
class Classifier:
    def __init__(self) -> None:
        from bench.servers.handler import Handler

        self.handler = Handler()

    async def __call__(self, request: Request) -> dict[str, Any]:
        return self.handler(await request.body())


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
serve.run(Classifier.bind(), route_prefix="/predict")
while True:
    time.sleep(3600)
