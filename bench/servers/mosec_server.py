"""mosec: one worker process behind its Rust front, the JPEG as the body."""

from typing import Any

from mosec import Server, Worker

from bench.servers.handler import Handler


class Classifier(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.handler = Handler()

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> Any:
        return self.handler(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Classifier, num=1)
    server.run()
