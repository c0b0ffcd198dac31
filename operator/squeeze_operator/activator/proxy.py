"""Holds a request until a replica of its model is ready, hands it on, and streams the answer back.

A prediction changes nothing, so a request whose replica dies before it begins to answer is given to another.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from aiohttp import ClientError, ClientSession, ClientTimeout, SocketTimeoutError, web
from multidict import CIMultiDict
from yarl import URL

from squeeze_operator.activator import metrics
from squeeze_operator.activator.backends import Backends
from squeeze_operator.activator.budget import Budget, Full, Place, TooLarge
from squeeze_operator.activator.settings import Settings
from squeeze_operator.names import Key

CHUNK_BYTES = 64 * 1024
CONNECT_SECONDS = 2.0
RETRY_SECONDS = 0.2
"""Before a replica that cannot be reached is tried again: its network policy may take a moment."""
RETRY_AFTER = "5"
log = logging.getLogger(__name__)
_MODEL_HEADER, _NAMESPACE_HEADER = "KServe-Isvc-Name", "KServe-Isvc-Namespace"
"""Set by KServe's route, whatever the client sent."""
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade", "proxy-connection"),
        # The whole body is here before a replica is asked.
        "expect",
    }
)
"""RFC 9110 section 7.6.1."""
_OWN_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""That aiohttp would add, as if the client had asked for a compressed answer."""


def model_of(headers: Mapping[str, str]) -> Key | None:
    """The model that a request is for: by the headers of KServe's route, or the Service's own host name."""
    if headers.get(_MODEL_HEADER) and headers.get(_NAMESPACE_HEADER):
        return Key(headers[_NAMESPACE_HEADER], headers[_MODEL_HEADER])
    service, _, rest = headers.get("Host", "").partition(":")[0].partition(".")
    name, namespace = service.removesuffix("-predictor"), rest.partition(".")[0]
    return Key(namespace, name) if namespace and name != service else None


def passed_on(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    """Headers without those that concern one connection alone."""
    found = CIMultiDict(headers)
    named = {name.strip().lower() for value in found.getall("Connection", []) for name in value.split(",")}
    kept = [(name, value) for name, value in found.items() if name.lower() not in _HOP_BY_HOP | named]
    return CIMultiDict(kept)


class TooSlow(Exception):
    """A client took too long to send a body; it must not keep a place meanwhile."""


class Proxy:
    """Answers every request. Make it in a running event loop."""

    def __init__(self, settings: Settings, backends: Backends) -> None:
        self._settings = settings
        self._backends = backends
        self._budget = Budget(settings.most_requests, settings.most_bytes)
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=settings.answer_seconds)
        # Answers are passed on as they are, so nothing is to be unpacked.
        self._http = ClientSession(timeout=timeout, auto_decompress=False, trust_env=False)

    async def close(self) -> None:
        """Closes the connections to replicas."""
        await self._http.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The replica's answer, or the activator's own: 404, 408, 413, 503 or 504."""
        model = model_of(request.headers)
        if model is None or not self._backends.known(model):
            return refusal(404, "unknown", "no model of this cluster is behind this host")
        if not self._backends.ready(model):
            # Also where it is refused below: somebody wants this model.
            self._backends.note_arrival(model)
        until = time.monotonic() + self._settings.hold_seconds
        try:
            with self._budget.place() as place:
                body = await _read(request, place, until)
                return await self._answer(request, model, body, until)
        except TooSlow:
            response = refusal(408, "slow", "the rest of the body did not arrive in time")
            # What is still to come on this connection is the rest of that body.
            response.force_close()
            return response
        except Full:
            return refusal(503, "full", "too many requests wait for models that sleep")
        except TooLarge:
            return refusal(413, "large", f"a body may have {self._settings.most_bytes} bytes here")

    async def _answer(
        self, request: web.Request, model: Key, body: bytes, until: float
    ) -> web.StreamResponse:
        began = time.monotonic()
        with self._backends.waiting(model):
            while True:
                for address in self._backends.in_turn(model):
                    answer = await self._ask(request, address, body)
                    if answer is not None:
                        metrics.WAIT_SECONDS.observe(time.monotonic() - began)
                        return answer
                left = until - time.monotonic()
                if left <= 0:
                    return refusal(503, "late", "no replica was ready in time; it is still being started")
                pause = min(left, RETRY_SECONDS) if self._backends.ready(model) else left
                await self._backends.changed(model, pause)

    async def _ask(self, request: web.Request, address: str, body: bytes) -> web.StreamResponse | None:
        """The answer of a replica; None where it has not begun one, so that another may be asked."""
        host = f"[{address}]" if ":" in address else address
        url = URL(f"http://{host}:{self._settings.replica_port}{request.raw_path}", encoded=True)
        headers = passed_on(request.headers.items())
        headers.popall("Content-Length", None)
        try:
            answer = await self._http.request(
                request.method,
                url,
                headers=headers,
                data=body or None,
                allow_redirects=False,
                skip_auto_headers=_OWN_HEADERS,
            )
        except SocketTimeoutError:
            return refusal(504, "lost", "the replica did not answer in time")
        except (ClientError, TimeoutError) as error:
            log.info("%s: %s", address, error or type(error).__name__)
            return None
        metrics.HANDED_ON.labels(str(answer.status)).inc()
        async with answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=passed_on(answer.headers.items())
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                await response.write(chunk)
            await response.write_eof()
            return response


async def _read(request: web.Request, place: Place, until: float) -> bytes:
    """The whole body, so that it can be sent twice. Raises Full, TooLarge, TooSlow."""
    place.grow_to(request.content_length or 0)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(until - time.monotonic()):
            async for chunk in request.content.iter_chunked(CHUNK_BYTES):
                size += len(chunk)
                place.grow_to(size)
                chunks.append(chunk)
    except TimeoutError as error:
        raise TooSlow from error
    return b"".join(chunks)


def refusal(status: int, cause: str, text: str) -> web.Response:
    """The activator's own answer, in the form of the predictor's errors."""
    metrics.REFUSED.labels(cause).inc()
    headers = {"Retry-After": RETRY_AFTER} if status == 503 else {}
    return web.json_response({"error": text}, status=status, headers=headers)
