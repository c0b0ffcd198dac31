"""What one run measures, how long, and on which cores."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bench import processes

SERVER_CORE, LOAD_CORE = 0, 1
OUT = processes.REPO / "bench" / "out"
WEIGHTS_FILE = "squeezenet1_0-imagenet1k-fp16.safetensors"


@dataclass(frozen=True)
class Plan:
    """Seconds of each measurement, numbers of clients, and how often pairs are measured in turns."""

    quick: bool
    seconds: float
    concurrencies: tuple[int, ...]
    rounds: int
    overload_seconds: float

    @classmethod
    def from_environment(cls) -> Plan:
        quick = os.environ.get("QUICK", "") not in ("", "0")
        return cls(quick, 4.0, (1, 8), 2, 12.0) if quick else cls(quick, 7.0, (1, 8, 32), 4, 60.0)


def find_weights() -> str:
    """Real ImageNet weights: SQUEEZESERVE_WEIGHTS_DIR, beside the project, or PyTorch's download."""
    folder = os.environ.get("SQUEEZESERVE_WEIGHTS_DIR") or processes.REPO.parent / "shared" / "weights"
    file = Path(folder) / WEIGHTS_FILE
    return str(file) if file.exists() else "torchvision://squeezenet1_0"
