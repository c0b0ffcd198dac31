"""Loads the model in a thread of its own, so that the port answers health probes meanwhile."""

from __future__ import annotations

import importlib
import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from squeeze_predictor.errors import StartError
from squeeze_predictor.settings import Settings

if TYPE_CHECKING:
    from squeeze_predictor.network import Network

log = logging.getLogger(__name__)


def start(settings: Settings, threads: int) -> Future[Network]:
    """The future network; its exception, if any, is a StartError.

    The thread is a daemon: a process that is told to stop does not wait for an import or a download.
    """
    if settings.weights.startswith("torchvision://"):
        # A download needs it. The SDK, imported meanwhile, would leave the thread a placeholder of it.
        importlib.import_module("httpx")
    future: Future[Network] = Future()
    threading.Thread(target=_load, args=(future, settings, threads), name="loader", daemon=True).start()
    return future


def _load(future: Future[Network], settings: Settings, threads: int) -> None:
    try:
        from squeeze_predictor import network

        future.set_result(network.load(settings, threads))
    except StartError as error:
        future.set_exception(error)
    except MemoryError:
        future.set_exception(
            StartError("OutOfMemory", "not enough memory to load the model; raise its limit")
        )
    except Exception as error:
        log.exception("unexpected failure while loading")
        future.set_exception(
            StartError("WeightsInvalid", f"the model cannot be loaded: {type(error).__name__}")
        )
