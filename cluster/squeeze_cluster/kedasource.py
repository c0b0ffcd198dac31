"""Leaves out of KEDA's source what the platform never asks of it.

KEDA has some seventy scalers in one package, each with the client of another product, which are most of what
there is to compile. With the two that are used, Prometheus' and that of any HTTP endpoint, it builds in a
fraction of the time.
"""

import re
from pathlib import Path

# The Prometheus scaler takes a constant from that of Azure's queues.
_SCALERS = frozenset({"scaler.go", "prometheus_scaler.go", "metrics_api_scaler.go", "azure_queue_scaler.go"})
_MAKER = re.compile(r"^func (New\w+)\(", re.MULTILINE)
_CASE = re.compile(r"^\tcase \"[^\n]*:\n\t\treturn scalers\.(\w+)\([^\n]*\n", re.MULTILINE)


def trim(tree: Path) -> None:
    """Remove all other scalers from a copy of KEDA's module, and from the switch that makes them."""
    folder, builder = tree / "pkg" / "scalers", tree / "pkg" / "scaling" / "scalers_builder.go"
    for file in folder.glob("*.go"):
        if file.name not in _SCALERS:
            file.unlink()
    made = {name for file in folder.glob("*.go") for name in _MAKER.findall(file.read_text())}
    builder.write_text(without_cases(builder.read_text(), made))


def without_cases(switch: str, made: set[str]) -> str:
    """The Go text without the cases that return something else than what these functions make."""
    return _CASE.sub(lambda case: case[0] if case[1] in made else "", switch)
