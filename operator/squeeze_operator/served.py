"""Asks a replica what it serves (weights digest, device, engine), once for each rollout.

Replicas are asked themselves: behind the model's Service one that is ending may still answer with the weights
of the spec before. The answer only informs: an operator outside the cluster network, or a replica that does
not answer, is harmless.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from squeeze_operator.conditions import find
from squeeze_operator.names import HTTP_PORT
from squeeze_operator.snapshot import Served

TIMEOUT_SECONDS = 2.0
RETRY_SECONDS = 30.0
ASKED = 2
"""Replicas that are asked before all count as silent."""
Json = Mapping[str, Any]


class ServedReader:
    """Remembers each answer until the Deployment changes, and each silence for 30 seconds.

    Make it in a running event loop.
    """

    def __init__(self) -> None:
        self._answers: dict[str, tuple[int, Served]] = {}
        self._silent: dict[str, float] = {}
        self._http = ClientSession(timeout=ClientTimeout(total=TIMEOUT_SECONDS), trust_env=False)

    async def __call__(self, model: Json, deployment: Json, pods: Sequence[Json]) -> Served | None:
        """What the replicas say; None while they roll out, do not answer, or are not there."""
        uid, generation = str(model["metadata"]["uid"]), int(deployment["metadata"]["generation"])
        if not _settled(deployment):
            self._answers.pop(uid, None)
            return None
        known = self._answers.get(uid)
        # A scale-up changes the Deployment's generation too; asking once more is cheap.
        if known is not None and known[0] == generation:
            return known[1]
        if time.monotonic() < self._silent.get(uid, 0.0):
            return None
        served = await self._ask_one_of(addresses(pods), str(model["metadata"]["name"]))
        if served is None:
            self._silent[uid] = time.monotonic() + RETRY_SECONDS
        else:
            self._silent.pop(uid, None)
            self._answers[uid] = (generation, served)
        return served

    def forget_except(self, uids: frozenset[str]) -> None:
        """Drops what is known of models that are gone."""
        self._answers = {uid: answer for uid, answer in self._answers.items() if uid in uids}
        self._silent = {uid: until for uid, until in self._silent.items() if uid in uids}

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()

    async def _ask_one_of(self, hosts: Sequence[str], name: str) -> Served | None:
        for host in hosts[:ASKED]:
            served = await self._ask(host, name)
            if served is not None:
                return served
        return None

    async def _ask(self, host: str, name: str) -> Served | None:
        try:
            async with self._http.get(f"http://{host}:{HTTP_PORT}/v2/models/{name}") as answer:
                return parse_served(await answer.json(content_type=None)) if answer.ok else None
        except (ClientError, TimeoutError, ValueError):
            return None


def addresses(pods: Sequence[Json]) -> list[str]:
    """The hosts of the pods that are ready and not ending, as a URL has them, the newest first."""
    ready = [
        pod
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        and find(pod.get("status"), "Ready").get("status") == "True"
        and pod["status"].get("podIP")
    ]
    newest_first = sorted(ready, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)
    hosts = [str(pod["status"]["podIP"]) for pod in newest_first]
    return [f"[{host}]" if ":" in host else host for host in hosts]


def parse_served(metadata: object) -> Served | None:
    """The `properties` of the V2 model metadata; None where they are not there."""
    properties = metadata.get("properties") if isinstance(metadata, Mapping) else None
    if not isinstance(properties, Mapping):
        return None
    return Served(
        digest=_text(properties.get("weights_digest")),
        device=_text(properties.get("device")),
        engine=_text(properties.get("engine")),
    )


def _text(value: object) -> str | None:
    return value[:256] if isinstance(value, str) and value else None


def _settled(deployment: Json) -> bool:
    status, replicas = deployment.get("status") or {}, (deployment.get("spec") or {}).get("replicas", 1)
    return bool(
        status.get("readyReplicas")
        and status.get("observedGeneration") == deployment["metadata"]["generation"]
        and status.get("updatedReplicas") == status.get("replicas") == replicas
    )
