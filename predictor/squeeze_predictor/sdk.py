"""The parts of the KServe SDK this server is built on, imported without what it never uses.

`import kserve` also brings pandas (data frames as tensors), the Kubernetes client, a class for every resource
of the control plane, the SDK's own server (FastAPI) and its clients (httpx, gRPC, CloudEvents): nearly all of
its import time, and a server has to be ready soon after its pod starts. Placeholders stand in for them while
the SDK is imported and are taken away again afterwards, so a later `import pandas` finds the real one. The
SDK also parses `sys.argv` on import; it gets none of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# With their submodules. None of the SDK's code behind our routes calls into them.
UNUSED = (
    *("pandas", "cloudevents", "fastapi", "grpc", "httpx", "psutil", "pydantic", "yaml"),
    *("kserve.api", "kserve.api_client", "kserve.configuration", "kserve.models"),
    *("kserve.inference_client", "kserve.model_server", "kserve.protocol.rest"),
    "kserve.utils.inference_client_factory",
)


class _Unused:
    """Stands in for every class of an unused module; the SDK only names them in annotations."""


class _Placeholders(MetaPathFinder, Loader):
    """Finds an empty module for each unused name."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if _is_unused(fullname) else None

    def exec_module(self, module: ModuleType) -> None:
        def attribute(name: str) -> type[_Unused]:
            # What the import system asks a module for must not seem to be there.
            if name.startswith("__"):
                raise AttributeError(name)
            return _Unused

        module.__getattr__ = attribute  # type: ignore[method-assign]


def _is_unused(name: str) -> bool:
    return any(name == unused or name.startswith(unused + ".") for unused in UNUSED)


@contextmanager
def _without_unused() -> Iterator[None]:
    finder, argv, known = _Placeholders(), sys.argv, set(sys.modules)
    sys.argv = argv[:1]
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.argv = argv
        for name in set(sys.modules) - known:
            if _is_unused(name):
                del sys.modules[name]


with _without_unused():
    from kserve import Model, ModelRepository
    from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.infer_type import (
        InferInput,
        InferOutput,
        InferRequest,
        InferResponse,
        RequestedOutput,
    )

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
    "ModelRepository",
    "RequestedOutput",
]
