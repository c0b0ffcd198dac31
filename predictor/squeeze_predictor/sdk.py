"""The parts of the KServe SDK this server is built on, imported without what it never uses.

`import kserve` also brings pandas (data frames as tensors) and the Kubernetes client with its control-plane
API: about half of its import time and 60 MB, and a server has to be ready soon after its pod starts. Both
stand in as placeholders while the SDK is imported and are taken away again afterwards, so a later `import
pandas` finds the real one. The SDK also parses `sys.argv` on import; it gets none of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


class _Unused:
    """Stands in for a class that only annotations of the SDK mention."""


@contextmanager
def _placeholders(**classes: str) -> Iterator[None]:
    added = []
    for module, name in ((key.replace("__", "."), value) for key, value in classes.items()):
        if module not in sys.modules:
            placeholder = ModuleType(module)
            setattr(placeholder, name, _Unused)
            sys.modules[module] = placeholder
            added.append(module)
    argv, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = argv
        for module in added:
            del sys.modules[module]


with _placeholders(pandas="DataFrame", kserve__api__kserve_client="KServeClient"):
    from kserve import Model, ModelServer
    from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.infer_type import (
        InferInput,
        InferOutput,
        InferRequest,
        InferResponse,
        RequestedOutput,
    )
    from kserve.protocol.rest.server import RESTServer, metrics_handler

__all__ = [
    "DataPlane",
    "InferInput",
    "InferOutput",
    "InferRequest",
    "InferResponse",
    "InvalidInput",
    "Model",
    "ModelNotFound",
    "ModelNotReady",
    "ModelServer",
    "RESTServer",
    "RequestedOutput",
    "metrics_handler",
]
