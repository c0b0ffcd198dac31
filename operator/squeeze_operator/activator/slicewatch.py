"""Follows the EndpointSlices of the models' Services, by kopf, in a thread of its own.

In the main thread kopf would take the signals, and at its end every task that was started after it, and with
them the requests that wait.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import kopf
from kubernetes.client import Configuration

from squeeze_operator import names, watch
from squeeze_operator.api import Api
from squeeze_operator.health import Health
from squeeze_operator.names import ENDPOINT_SLICES
from squeeze_operator.session import connection

SELECTOR = f"{names.MODEL_LABEL},!{names.ACTIVATOR_LABEL}"
"""The slices of models' Services, without those by which the activator itself stands there."""
_KIND = (ENDPOINT_SLICES.group, ENDPOINT_SLICES.version, ENDPOINT_SLICES.plural)
Deliver = Callable[[Any], object]
"""Takes a watch event (object, type); called in the event loop that listens."""


async def listed(configuration: Configuration, namespaces: Sequence[str], deliver: Deliver) -> None:
    """Delivers what there is at present. Raises ApiError."""
    async with Api(configuration) as api:
        for namespace in namespaces or (None,):
            for one in await api.list(ENDPOINT_SLICES, namespace, SELECTOR):
                deliver({"object": one})


def follow(
    configuration: Configuration, namespaces: Sequence[str], deliver: Deliver, health: Health
) -> threading.Thread:
    """Starts a thread that delivers every change for as long as the process lives, and tells `health`."""
    listening = asyncio.get_running_loop()
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return connection(configuration)

    @kopf.on.event(*_KIND, registry=registry)
    async def on_slice(event: kopf.RawEvent, **_: Any) -> None:
        listening.call_soon_threadsafe(deliver, event)

    chosen = watch.settings(namespaces)
    chosen.watching.label_selectors[_KIND] = SELECTOR
    # Its kind is as old as the cluster.
    chosen.scanning.disabled = True

    async def watching() -> None:
        beating = asyncio.create_task(_beat(health))
        try:
            await kopf.operator(
                registry=registry,
                settings=chosen,
                clusterwide=not namespaces,
                namespaces=namespaces,
                standalone=True,
            )
        finally:
            beating.cancel()
            health.dead.append("the watch")

    thread = threading.Thread(target=lambda: asyncio.run(watching()), name="slices", daemon=True)
    thread.start()
    return thread


async def _beat(health: Health) -> None:
    while True:
        health.beat(watch.running_watchers())
        await asyncio.sleep(1)
