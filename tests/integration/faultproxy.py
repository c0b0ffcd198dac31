"""A proxy in front of the real API server that fails, stays silent or tells of a request, as a test says.

The operator under test speaks HTTP to it; it speaks HTTPS to the API server with the operator's own token.
"""

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from ssl import create_default_context
from typing import Any

import yaml
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from integration.apiserver import OPERATOR_TOKEN, ControlPlane, free_port

_PASSED = ("Authorization", "Content-Type", "Accept")
GONE = {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old"}


@dataclass
class Fault:
    """The answer to the next `times` requests of a method whose path has a part."""

    method: str
    part: str
    code: int
    message: str = "injected"
    times: int = 1


@dataclass
class Hook:
    """What to call at the first request of a method whose path has a part, after it is done or instead."""

    method: str
    part: str
    after: bool
    call: Callable[[], None]


class FaultProxy:
    """One proxy on a free port of 127.0.0.1; its attributes may be changed from the test's thread."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane, self._port = plane, free_port()
        self.faults: list[Fault] = []
        self.hooks: list[Hook] = []
        self.expired_watches = 0
        """How many watches are still to be told that their version is too old."""
        self.held = False
        """While true no request is answered, as where packets are dropped."""
        self.unserved: str | None = None
        """While set, watches of this kind get a 404, and those of others no answer."""
        self.requests: list[tuple[str, str]] = []
        """Method and path of every request that is not a watch."""
        self._epoch = 0
        self._watches: list[web.Request] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="fault proxy", daemon=True)

    def start(self) -> None:
        """Starts it and returns when it listens."""
        self._thread.start()
        assert self._started.wait(20), "the proxy does not start"

    def stop(self) -> None:
        """Stops it, with all its connections."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def silence_watches(self) -> None:
        """From now on no watch that is open says anything more; its connection stays."""
        self._epoch += 1

    def end_watches(self) -> None:
        """Breaks the connections of all watches that are open."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._abort_watches)

    def _abort_watches(self) -> None:
        for request in self._watches:
            if request.transport is not None:
                request.transport.abort()

    def kubeconfig(self, path: Path) -> Path:
        """A kubeconfig of the operator's user that leads through the proxy."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}],
            "users": [{"name": "test", "user": {"token": OPERATOR_TOKEN}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def _main(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        connector = TCPConnector(ssl=create_default_context(cafile=str(self._plane.ca)), limit=0)
        async with ClientSession(connector=connector, timeout=ClientTimeout(total=None)) as self._upstream:
            application = web.Application(client_max_size=2**24)
            application.router.add_route("*", "/{path:.*}", self._answer)
            runner = web.AppRunner(application, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            self._started.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        watch = request.query.get("watch") == "true"
        if not watch:
            self.requests.append((request.method, request.path))
        if watch and self.unserved and f"/{self.unserved}" in request.path:
            return web.json_response({"message": "404 page not found", "code": 404}, status=404)
        while self.held or (watch and self.unserved):
            await asyncio.sleep(0.05)
        fault = next((f for f in self.faults if f.times and _fits(f, request)), None)
        if fault is not None and not watch:
            fault.times -= 1
            return web.json_response({"message": fault.message, "code": fault.code}, status=fault.code)
        if self._call(request, after=False):
            return web.Response(status=503)
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        async with self._upstream.request(
            request.method,
            f"{self._plane.url}{request.path_qs}",
            headers=headers,
            data=await request.read() or None,
        ) as answer:
            if watch:
                return await self._stream(request, answer)
            body = await answer.read()
        self._call(request, after=True)
        kind = answer.headers.get("Content-Type", "")
        return web.Response(status=answer.status, body=body, headers={"Content-Type": kind})

    async def _stream(self, request: web.Request, answer: Any) -> web.StreamResponse:
        epoch = self._epoch
        response = web.StreamResponse(status=answer.status)
        response.content_type = "application/json"
        await response.prepare(request)
        if self.expired_watches:
            self.expired_watches -= 1
            await response.write(json.dumps({"type": "ERROR", "object": GONE}).encode() + b"\n")
            return response
        self._watches.append(request)
        try:
            with suppress(ConnectionError):
                async for chunk in answer.content.iter_any():
                    if self._epoch != epoch:
                        await self._stop.wait()
                        break
                    await response.write(chunk)
        finally:
            # Requests are mappings, and empty ones are equal.
            self._watches = [each for each in self._watches if each is not request]
        return response

    def _call(self, request: web.Request, after: bool) -> bool:
        """Calls the hooks that fit; whether there was one."""
        fitting = [hook for hook in self.hooks if hook.after is after and _fits(hook, request)]
        for hook in fitting:
            self.hooks.remove(hook)
            hook.call()
        return bool(fitting)


def _fits(wanted: Fault | Hook, request: web.Request) -> bool:
    return request.method == wanted.method and wanted.part in request.path
