"""mosec: one worker process behind its Rust front, the JPEG as the body; BENCH_BATCH is its largest batch."""

import os
from typing import Any

from mosec import Server, Worker

from bench.servers.handler import Handler

BATCH = int(os.environ["BENCH_BATCH"])


class Classifier(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.handler = Handler()

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: Any) -> Any:
        """A picture, or with batching a list of them."""
        return self.handler(data) if BATCH == 1 else self.handler.batch(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Classifier, num=1, max_batch_size=BATCH)
    server.run()
