"""Chooses the engine by the hardware, and lets it answer only after it has proved itself."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from squeezenet import golden
from squeezenet.artifact import Artifact
from squeezenet.engines.base import Device, Engine
from squeezenet.errors import ConfigError, DeviceError, EngineError

Name = Literal["auto", "openvino", "torch"]
NAMES: tuple[Name, ...] = ("auto", "openvino", "torch")
_GPU_FILES = ("dev/nvidiactl", "dev/nvidia0", "dev/dxg")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """What was asked for. ``device`` auto: a GPU if there is one. ``streams``: see OpenVINOEngine."""

    engine: Name = "auto"
    device: Literal["auto"] | Device = "auto"
    cpu_fallback: bool = False
    threads: int = 1
    streams: int | None = None


@dataclass(frozen=True)
class Chosen:
    """An engine that has reproduced the golden logits, and why any better one was passed over."""

    engine: Engine
    difference: float
    passed_over: tuple[str, ...] = ()


def start(artifact: Artifact, wish: Wish) -> Chosen:
    """The first engine, best first, that is here and proves itself.

    Raises:
        ConfigError: OpenVINO was asked for on a GPU.
        DeviceError: a GPU was asked for, there is none, and the CPU may not stand in.
        EngineError: no engine that was allowed proves itself; the message says why of each.
    """
    if wish.engine == "openvino" and wish.device == "cuda" and not wish.cpu_fallback:
        raise ConfigError("openvino computes on CPUs: use the device cpu with it, or the engine torch.")
    proof = artifact.golden or golden.make(artifact.config, artifact.state)
    passed_over: list[str] = []
    for make in _candidates(artifact, wish):
        try:
            engine = make()
            return Chosen(engine, golden.prove(engine, proof), tuple(passed_over))
        except (EngineError, ImportError) as error:
            passed_over.append(str(error))
        except DeviceError as error:
            if wish.device == "cuda" and not wish.cpu_fallback:
                raise
            passed_over.append(error.message)
        log.warning("an engine is passed over: %s", passed_over[-1])
    raise EngineError("no engine computes this network: " + "; ".join(passed_over))


def gpu_files(root: Path = Path("/")) -> bool:
    """Whether a driver shows an NVIDIA device here; asking PyTorch would mean to import it."""
    return any((root / name).exists() for name in _GPU_FILES)


def _candidates(artifact: Artifact, wish: Wish) -> Iterator[Callable[[], Engine]]:
    if wish.device != "cpu" and wish.engine != "openvino" and (wish.device == "cuda" or gpu_files()):
        yield lambda: _torch(artifact, "cuda", wish)
    if wish.device == "cuda" and not wish.cpu_fallback:
        return
    if wish.engine != "torch":
        yield lambda: _openvino(artifact, wish)
    if wish.engine == "torch" or (wish.engine == "auto" and installed("torch")):
        yield lambda: _torch(artifact, "cpu", wish)


def installed(module: str) -> bool:
    """Whether a top-level module can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def _openvino(artifact: Artifact, wish: Wish) -> Engine:
    from squeezenet.engines.openvino_engine import OpenVINOEngine

    try:
        return OpenVINOEngine(artifact, wish.threads, wish.streams)
    except RuntimeError as error:
        # OpenVINO has no error class of its own.
        raise EngineError(f"openvino cannot compile the network: {error}") from error


def _torch(artifact: Artifact, device: Device, wish: Wish) -> Engine:
    if device == "cuda" and not gpu_files():
        raise DeviceError(
            "no CUDA device is visible here: give the pod a GPU (spec.accelerator.gpus: 1), or use the CPU."
        )
    if not installed("torch"):
        error = DeviceError if device == "cuda" else EngineError
        raise error(f"torch is not installed: take the predictor image that is built with TORCH={device}.")
    from squeezenet.engines.torch_engine import TorchEngine

    return TorchEngine(artifact, device, wish.threads)
