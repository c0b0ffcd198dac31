"""The connection of kopf's watches, and what it tells of them that kopf has no handler for."""

import datetime
import re
from collections.abc import Callable, Iterable

import kopf
from aiohttp import ClientSession, TCPConnector, TraceConfig, TraceRequestEndParams
from kubernetes.client import Configuration

from squeeze_operator.api import bearer, tls
from squeeze_operator.names import Resource

ListEnded = Callable[[Resource, str | None], None]
_LOGIN_SECONDS = 300
"""A ServiceAccount's token is read again this often; the kubelet renews it long before it expires."""
_PATH = re.compile(r".*?/apis?/(?P<version>.+?)(/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)")


def connection(
    configuration: Configuration, resources: Iterable[Resource] = (), list_ended: ListEnded | None = None
) -> kopf.AiohttpSession:
    """A session for kopf by the official client's configuration. Make it in a running event loop.

    `list_ended` is told when kopf begins to watch one of the resources in a namespace (None: everywhere).
    """
    tracing, token = TraceConfig(), bearer(configuration)
    kinds = {(resource.api_version, resource.plural): resource for resource in resources}

    async def on_request_end(_session: object, _context: object, done: TraceRequestEndParams) -> None:
        # kopf hands on the whole list before it watches.
        path = _PATH.fullmatch(done.url.path)
        if path and done.url.query.get("watch") and done.response.ok:
            kind = kinds.get((path["version"], path["plural"]))
            if kind is not None and list_ended is not None:
                list_ended(kind, path["namespace"])

    tracing.on_request_end.append(on_request_end)
    return kopf.AiohttpSession(
        aiohttp_session=ClientSession(
            connector=TCPConnector(limit=0, ssl=tls(configuration)),
            headers={"Authorization": token} if token else {},
            trust_env=False,
            trace_configs=[tracing],
        ),
        server=str(configuration.host),
        expiration=datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=_LOGIN_SECONDS),
    )
