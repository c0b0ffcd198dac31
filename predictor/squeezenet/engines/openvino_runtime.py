"""OpenVINO as this process holds it: imported without its converter, with one core that stays.

OpenVINO gives the thread that loads its CPU plugin a stack for signal handlers, and unmaps that stack when
the plugin goes, whichever thread lets it go and whatever was loaded in between. Python runs its handlers on
such a stack: where the main thread is left with one that is gone, the next SIGTERM, SIGINT or SIGCHLD ends
the process by SIGSEGV, without a trace (https://github.com/openvinotoolkit/openvino, `SigAltStackSetup` in
src/plugins/intel_cpu/src/plugin.cpp). So no plugin is loaded in a thread that outlives it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from threading import Thread
from typing import Any, TypeVar

Outcome = TypeVar("Outcome")

# The converter of other frameworks' models: half of the import time, and it wants to report its use.
_CONVERTER = "openvino.tools.ovc"


@cache
def core() -> Any:
    """The process's ``openvino.Core``, its CPU plugin loaded. Raises ImportError without OpenVINO."""
    openvino = import_openvino()
    return apart(lambda: _with_plugin(openvino.Core()))


def _with_plugin(core: Any) -> Any:
    core.get_property("CPU", "FULL_DEVICE_NAME")
    return core


def has_bf16() -> bool:
    """Whether this CPU computes bfloat16 itself. Raises ImportError where OpenVINO is not installed."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def apart(work: Callable[[], Outcome]) -> Outcome:
    """Does the work in a thread that ends with it, and gives or raises its outcome."""
    outcome: Future[Outcome] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # whoever waits for the outcome raises it
            outcome.set_exception(error)

    # A daemon, so that Ctrl-C ends the process and not only the waiting.
    Thread(target=run, name="openvino", daemon=True).start()
    return outcome.result()


def import_openvino() -> Any:
    """The module, imported without its converter. Raises ImportError where it is not installed."""
    with without_module(_CONVERTER):
        import openvino
    return openvino


@contextmanager
def without_module(name: str) -> Iterator[None]:
    """Meanwhile importing that module fails, unless it is there already."""
    known = name in sys.modules
    if not known:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not known:
            del sys.modules[name]
