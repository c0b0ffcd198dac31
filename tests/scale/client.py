"""A small asynchronous client of the API server, cheap enough to play a cluster of a thousand models."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector
from integration.apiserver import ADMIN_TOKEN, ControlPlane

Json = dict[str, Any]
MERGE = "application/merge-patch+json"


class Client:
    """Requests with an administrator's rights. Use as an async context manager."""

    def __init__(self, plane: ControlPlane, connections: int = 8) -> None:
        self._session = ClientSession(
            base_url=plane.url,
            connector=TCPConnector(ssl=ssl.create_default_context(cafile=str(plane.ca)), limit=connections),
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
            timeout=ClientTimeout(total=None, sock_connect=30),
            read_bufsize=2**22,
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def get(self, path: str) -> Json:
        """The object or list at a path. Raises RuntimeError with the API's words."""
        return await self._send("GET", path)

    async def create(self, path: str, body: Json) -> Json:
        """Creates an object. Raises RuntimeError with the API's words."""
        return await self._send("POST", path, body)

    async def patch(self, path: str, body: Json) -> Json:
        """Merges fields into an object. Raises RuntimeError with the API's words."""
        return await self._send("PATCH", path, body, MERGE)

    async def delete(self, path: str) -> None:
        """Deletes all objects of a list, at once. Raises RuntimeError with the API's words."""
        await self._send("DELETE", f"{path}?gracePeriodSeconds=0")

    async def watch(self, path: str, version: str) -> AsyncIterator[Json]:
        """The events of a list's objects after a version, until the connection ends."""
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3600"}
        async with self._session.get(path, params=query) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                yield json.loads(line)

    async def _send(self, method: str, path: str, body: Json | None = None, kind: str = "") -> Json:
        headers = {"Content-Type": kind or "application/json"}
        data = None if body is None else json.dumps(body).encode()
        async with self._session.request(method, path, data=data, headers=headers) as answer:
            text = await answer.read()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
            found: Json = json.loads(text)
            return found
