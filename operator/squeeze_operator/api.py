"""A thin asynchronous client of the Kubernetes API: get, list, server-side apply, delete and Events.

Configuration (kubeconfig or ServiceAccount, with its rotating token) comes from the official `kubernetes`
client. The requests themselves go through aiohttp, as kopf's do: the dynamic client is synchronous, so each
read of a reconcile would hold a thread, and it discovers and caches every API group first, which costs memory
and hides a CRD that arrives later. Environment proxies are never used: the API server is reached directly
(kopf#1277).
"""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from kubernetes import config
from kubernetes.client import Configuration

from squeeze_operator import metrics
from squeeze_operator.names import EVENTS, FIELD_MANAGER, Resource

REQUEST_TIMEOUT_SECONDS = 15.0
_METHODS = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "patch": "PATCH",
    "delete": "DELETE",
}
"""The HTTP method of each verb of the API."""
PAGE = 250
"""Objects in an answer: longer ones would hold up everything else while they are decoded."""
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_NO_VERSION = "1"
"""A resourceVersion that no object has (etcd's first revision is that of the empty store), so that a write
conflicts with every object that is there. Source: Kubernetes, registry/generic/registry, Store.Update.
"""
Json = dict[str, Any]


class ApiError(Exception):
    """A request that failed; status is the HTTP code, 0 where there was no answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def rejected(self) -> bool:
        """Whether the same request fails again until somebody changes something."""
        return self.status in (400, 403, 422)


class KindMissing(ApiError):
    """The API server does not serve this kind: its CRD is not installed."""


def load_configuration() -> Configuration:
    """The cluster's address and credentials: ServiceAccount in a pod, else KUBECONFIG or ~/.kube/config.

    Raises kubernetes.config.ConfigException where there is neither.
    """
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return configuration


def bearer(configuration: Configuration) -> str | None:
    """The present value of the Authorization header; a ServiceAccount's token is read again as it rotates."""
    value: str | None = configuration.get_api_key_with_prefix("BearerToken", "authorization")
    return value


class Api:
    """Requests to one API server. Make it in a running event loop; use as an async context manager."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._root = str(configuration.host).rstrip("/")
        self._http = ClientSession(
            connector=TCPConnector(ssl=tls(configuration)),
            timeout=ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
            trust_env=False,
        )

    async def __aenter__(self) -> "Api":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """The object, or None where there is none. Raises KindMissing, ApiError."""
        return await self._read("get", resource, _path(resource, namespace, name))

    async def list_metadata(self, resource: Resource, namespace: str | None = None) -> list[Json]:
        """The metadata of all objects (of a namespace), and nothing else. Raises KindMissing, ApiError."""
        return [item async for item in self._pages(resource, namespace, _METADATA_ONLY)]

    async def list(self, resource: Resource, namespace: str | None = None, labels: str = "") -> list[Json]:
        """All objects (of a namespace, with these labels). Raises KindMissing, ApiError."""
        return [item async for item in self._pages(resource, namespace, "application/json", labels)]

    async def _pages(
        self, resource: Resource, namespace: str | None, accept: str, labels: str = ""
    ) -> AsyncIterator[Json]:
        page: str | None = ""
        while page is not None:
            parameters = {"labelSelector": labels, "limit": str(PAGE), "continue": page}
            path = _path(resource, namespace)
            answer = await self._read("list", resource, path, accept, **parameters) or {}
            for item in answer.get("items") or []:
                yield item
            page = (answer.get("metadata") or {}).get("continue") or None

    async def serves(self, resource: Resource, namespace: str | None = None) -> bool:
        """Whether the API server serves this kind. Raises ApiError."""
        try:
            await self._read("list", resource, _path(resource, namespace), _METADATA_ONLY, limit="1")
        except KindMissing:
            return False
        return True

    async def create(self, resource: Resource, body: Json) -> Json:
        """Server-side apply of an object that is not there; one that is there is a 409, even an equal one.

        A POST would do the same, but its fields would belong to another operation of our field manager, and
        an apply that leaves one out would not remove it.
        """
        meta = body["metadata"] | {"resourceVersion": _NO_VERSION}
        return await self._apply(resource, body | {"metadata": meta}, force=False)

    async def apply(self, resource: Resource, body: Mapping[str, Any]) -> Json:
        """Server-side apply under our field manager, over whatever others have set. Raises ApiError."""
        return await self._apply(resource, body, force=True)

    async def apply_status(self, resource: Resource, body: Mapping[str, Any]) -> Json:
        """Server-side apply of the status subresource."""
        meta = body["metadata"]
        path = _path(resource, meta["namespace"], meta["name"]) + "/status"
        return await self._write_applied(resource, path, body, force=True)

    async def _apply(self, resource: Resource, body: Mapping[str, Any], force: bool) -> Json:
        meta = body["metadata"]
        path = _path(resource, meta["namespace"], meta["name"])
        return await self._write_applied(resource, path, body, force)

    async def merge(self, resource: Resource, body: Mapping[str, Any]) -> Json:
        """Merge patch of a live object; the uid in its metadata makes it fail (409) where it was replaced."""
        meta = body["metadata"]
        path = _path(resource, meta["namespace"], meta["name"])
        parameters = {"fieldManager": FIELD_MANAGER}
        kind = "application/merge-patch+json"
        return await self._send("patch", resource, path, body=body, content_type=kind, params=parameters)

    async def delete(self, resource: Resource, live: Mapping[str, Any]) -> None:
        """Deletes this very object; one that has gone or been replaced is as good. Raises ApiError."""
        meta = live["metadata"]
        options = {"preconditions": {"uid": meta["uid"]}}
        try:
            path = _path(resource, meta["namespace"], meta["name"])
            await self._send("delete", resource, path, body=options)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def create_event(self, body: Mapping[str, Any]) -> Json:
        """Creates a core/v1 Event."""
        return await self._send("create", EVENTS, _path(EVENTS, body["metadata"]["namespace"]), body=body)

    async def _read(
        self, verb: str, resource: Resource, path: str, accept: str = "application/json", **parameters: str
    ) -> Json | None:
        try:
            return await self._send(verb, resource, path, accept=accept, params=parameters)
        except KindMissing:
            raise
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _write_applied(
        self, resource: Resource, path: str, body: Mapping[str, Any], force: bool
    ) -> Json:
        # JSON is YAML, so the body needs no other encoder.
        parameters = {"fieldManager": FIELD_MANAGER, "force": str(force).lower()}
        kind = "application/apply-patch+yaml"
        return await self._send("patch", resource, path, body=body, content_type=kind, params=parameters)

    async def _send(
        self,
        verb: str,
        resource: Resource,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        params: Mapping[str, str] | None = None,
    ) -> Json:
        headers = {"Accept": accept}
        token = bearer(self._configuration)
        if token:
            headers["Authorization"] = token
        if body is not None:
            headers["Content-Type"] = content_type
        data = None if body is None else json.dumps(body).encode()
        method, url = _METHODS[verb], f"{self._root}{path}"
        try:
            with metrics.API_SECONDS.labels(verb, resource.kind).time():
                async with self._http.request(
                    method, url, data=data, headers=headers, params=params
                ) as answer:
                    status, text = answer.status, await answer.read()
        except (ClientError, TimeoutError) as error:
            metrics.API_REQUESTS.labels(verb, resource.kind, "0").inc()
            raise ApiError(0, f"{method} {path}: {error or type(error).__name__}") from error
        metrics.API_REQUESTS.labels(verb, resource.kind, str(status)).inc()
        if status >= 400:
            raise _error(status, path, text)
        found: Json = json.loads(text)
        return found


def _error(status: int, path: str, text: bytes) -> ApiError:
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        # A missing kind is answered by the router, in plain text; a missing object by a Status.
        if status == 404:
            return KindMissing(404, f"{path}: the API server does not serve this kind")
        message = f"HTTP {status}"
    return ApiError(status, message)


def _path(resource: Resource, namespace: str | None, name: str = "") -> str:
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{scope}/{resource.plural}" + (f"/{name}" if name else "")


def tls(configuration: Configuration) -> ssl.SSLContext | bool:
    """How the API server is checked, and the client's certificate; False where nothing is checked."""
    if not configuration.verify_ssl:
        return False
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
