"""The operator's own health pages, answered from a thread, so that a hung event loop cannot silence them.

/livez fails when a watcher or a worker has died or is stuck, when the event loop has stopped, or when the
watch has stopped delivering; a restart helps against each of these. An API server that is away is none of
them. /readyz fails until the first audit has answered.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from squeeze_operator.audit import BOUND_SECONDS
from squeeze_operator.names import Resource

LOOP_BOUND_SECONDS = 30.0
WATCHER_BOUND_SECONDS = 45.0
WORKER_BOUND_SECONDS = 180.0
READY_GRACE_SECONDS = 90.0
"""For how long audits may fail before the operator is not ready."""
log = logging.getLogger(__name__)
Check = Callable[[], str | None]
"""What is wrong, in a sentence; None where nothing is."""


class Health:
    """What the event loop tells about itself; read by the threads of the health server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.beat_at = clock()
        self.dead: list[str] = []
        """Names of tasks that ended although they should run for ever."""
        self.watchers: frozenset[str] = frozenset()
        """Names of all watchers that have been alive."""
        self._gone: dict[str, float] = {}
        self.busy_since: Callable[[], list[float | None]] = list
        self.watch_lag: Callable[[], float] = lambda: 0.0
        self.synced_at: Callable[[], float | None] = lambda: None
        self.audit_seconds = 30.0
        """Between two audits; readiness cannot know more than they do."""

    def beat(self, watchers: frozenset[str] = frozenset()) -> None:
        """Called by the event loop every second, with the names of the watchers that are alive."""
        self.beat_at = self._clock()
        self.watchers |= watchers
        gone = self.watchers - watchers
        self._gone = {name: self._gone.get(name, self.beat_at) for name in gone}

    def forget_watchers(self, resource: Resource) -> None:
        """Called while a kind is not served, so that its watcher is not missed."""
        self.watchers = frozenset(name for name in self.watchers if not watches(name, resource))

    def watched(self, resources: Iterable[Resource]) -> frozenset[Resource]:
        """Those of the kinds of which a watcher is alive and none has died."""
        alive = self.watchers - self._gone.keys()
        return frozenset(
            resource
            for resource in resources
            if any(watches(name, resource) for name in alive)
            and not any(watches(name, resource) for name in self._gone)
        )

    def not_alive(self) -> str | None:
        """Why a restart is needed, or None."""
        now = self._clock()
        if self.dead:
            return f"ended: {', '.join(self.dead)}"
        if now - self.beat_at > LOOP_BOUND_SECONDS:
            return f"the event loop has not run for {now - self.beat_at:.0f} s"
        oldest = min((since for since in self.busy_since() if since is not None), default=now)
        if now - oldest > WORKER_BOUND_SECONDS:
            return f"a worker has been stuck for {now - oldest:.0f} s"
        ended = [name for name, since in self._gone.items() if now - since > WATCHER_BOUND_SECONDS]
        if ended:
            return f"ended: {', '.join(sorted(ended))}"
        if self.watch_lag() > BOUND_SECONDS:
            return f"the watch has not delivered a change for {self.watch_lag():.0f} s"
        return None

    def not_ready(self) -> str | None:
        """Why the operator does not act on models at the moment, or None."""
        synced = self.synced_at()
        if synced is None:
            return "the API server has not answered yet"
        if self._clock() - synced > self.audit_seconds + READY_GRACE_SECONDS:
            return f"the API server has not answered for {self._clock() - synced:.0f} s"
        return self.not_alive()


def watches(watcher: str, resource: Resource) -> bool:
    """Whether kopf's watcher of this name, such as "watcher for pods.v1@None", watches a kind."""
    return watcher.startswith(f"watcher for {resource.plural}.{resource.version}")


@contextlib.contextmanager
def closing_pages(port: int, health: Health) -> Iterator[ThreadingHTTPServer]:
    """The health pages while a program runs. Raises OSError where the port is taken."""
    server = serve(port, {"/livez": health.not_alive, "/readyz": health.not_ready})
    log.info("health pages on port %s", server.server_address[1])
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def serve(port: int, checks: Mapping[str, Check], host: str = "") -> ThreadingHTTPServer:
    """Serves each check on its path from a daemon thread: 200 "ok", or 503 and what is wrong.

    Port 0 takes a free one (server_address names it). Raises OSError where the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 5
        server_version = "squeeze-operator"
        sys_version = ""

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def log_message(self, format: str, *args: object) -> None:
            """A probe every few seconds is not worth a line."""

        def _answer(self, with_body: bool) -> None:
            check = checks.get(self.path.partition("?")[0])
            wrong = "no such page" if check is None else check()
            code = 404 if check is None else 503 if wrong else 200
            body = f"{wrong or 'ok'}\n".encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
