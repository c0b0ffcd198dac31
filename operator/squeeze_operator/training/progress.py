"""Asks the leading worker of a training how far it is.

The answer only informs: an operator outside the cluster network, or a silent worker, is harmless.
"""

from typing import Any

import httpx

from squeeze_operator.training.desired import PAGE_PORT
from squeeze_operator.training.faults import index

TIMEOUT_SECONDS = 2.0
Json = dict[str, Any]


class ProgressReader:
    """Requests to worker 0's own page, by the pod's address."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)

    async def __call__(self, pods: tuple[Json, ...]) -> Json | None:
        """What the running leader says; None where there is none, or it is silent."""
        for pod in pods:
            status = pod.get("status") or {}
            if index(pod) == "0" and status.get("phase") == "Running" and status.get("podIP"):
                return await self._ask(str(status["podIP"]))
        return None

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _ask(self, address: str) -> Json | None:
        host = f"[{address}]" if ":" in address else address
        try:
            answer = await self._http.get(f"http://{host}:{PAGE_PORT}/progress")
            told = answer.json() if answer.is_success else None
        except (httpx.HTTPError, ValueError):
            return None
        return told if isinstance(told, dict) else None
