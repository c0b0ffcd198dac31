"""The progress of a run on a page, for whoever asks the leading worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PATH = "/progress"


@contextmanager
def serving(file: Path, port: int, host: str = "") -> Iterator[int]:
    """Serves the file on ``/progress`` while the block runs; yields the port (0 takes a free one).

    404 before the file is there. Raises OSError where the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 5
        server_version = "squeeze-trainer"
        sys_version = ""

        def do_GET(self) -> None:
            known = self.path == PATH and file.exists()
            body = file.read_bytes() if known else b"{}"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A question every few seconds is not worth a line."""

    with ThreadingHTTPServer((host, port), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="progress", daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
