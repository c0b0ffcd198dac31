"""A forward proxy in a process of its own, which writes down what it was asked for and refuses it all.

What must go by the proxy is seen here, and what must not fails or is missing here.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


class RecordingProxy:
    """The running proxy: its address, and the requests that it got."""

    def __init__(self, port: int, record: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._record = record

    def environment(self, **others: str) -> dict[str, str]:
        """This process's environment with the proxy in every variable, and no exceptions but yours."""
        plain = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        return plain | dict.fromkeys(VARIABLES, self.url) | others

    def requests(self) -> list[str]:
        """Each request as "METHOD target"."""
        return self._record.read_text().splitlines()


@contextmanager
def recording_proxy(folder: Path) -> Iterator[RecordingProxy]:
    """A proxy on a free port of 127.0.0.1."""
    record = folder / "proxied.txt"
    record.touch()
    command = [sys.executable, __file__, str(record)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield RecordingProxy(int(process.stdout.readline()), record)
        finally:
            process.terminate()


class _Handler(BaseHTTPRequestHandler):
    record: Path

    def do_CONNECT(self) -> None:
        """Note it and refuse it."""
        with self.record.open("a") as file:
            file.write(f"{self.command} {self.path}\n")
        self.send_error(502, "this proxy reaches nothing")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr: the record says it."""


if __name__ == "__main__":
    _Handler.record = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
