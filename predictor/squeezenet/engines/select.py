"""Chooses engine and precision by the hardware, and lets none answer that has not proved itself."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from squeezenet import golden, quantization
from squeezenet.artifact import Artifact
from squeezenet.engines.base import Device, Engine, Precision
from squeezenet.errors import ConfigError, DeviceError, EngineError
from squeezenet.golden import Golden

Name = Literal["auto", "openvino", "torch"]
NAMES: tuple[Name, ...] = ("auto", "openvino", "torch")
PRECISIONS: tuple[Literal["auto"] | Precision, ...] = ("auto", "f32", "bf16", "int8")
_GPU_FILES = ("dev/nvidiactl", "dev/nvidia0", "dev/dxg")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """What was asked for. ``device`` auto: a GPU if there is one. ``streams``: see OpenVINOEngine.

    ``precision`` auto: f32 everywhere; bf16 and int8 can change a best class, so somebody has to want them.
    """

    engine: Name = "auto"
    device: Literal["auto"] | Device = "auto"
    cpu_fallback: bool = False
    threads: int = 1
    streams: int | None = None
    precision: Literal["auto"] | Precision = "auto"


@dataclass(frozen=True)
class Chosen:
    """An engine that has reproduced the golden logits, and why anything asked for was passed over."""

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
            return Chosen(engine, golden.prove(engine, _proof(engine, artifact, proof)), tuple(passed_over))
        except (EngineError, ImportError) as error:
            why = str(error)
        except DeviceError as error:
            if wish.device == "cuda" and not wish.cpu_fallback:
                raise
            why = error.message
        if why not in passed_over:
            passed_over.append(why)
            log.warning("an engine is passed over: %s", why)
    raise EngineError("no engine computes this network: " + "; ".join(passed_over))


def _proof(engine: Engine, artifact: Artifact, proof: Golden) -> Golden:
    """int8 is held to logits of its own: how far these may be from f32 is what its test split says."""
    return artifact.int8.golden if engine.precision == "int8" and artifact.int8 else proof


def gpu_files(root: Path = Path("/")) -> bool:
    """Whether a driver shows an NVIDIA device here; asking PyTorch would mean to import it."""
    return any((root / name).exists() for name in _GPU_FILES)


def _candidates(artifact: Artifact, wish: Wish) -> Iterator[Callable[[], Engine]]:
    asked = _precisions(wish)
    if wish.device != "cpu" and wish.engine != "openvino" and (wish.device == "cuda" or gpu_files()):
        yield from (
            partial(_torch, artifact, "cuda", wish, precision, graphs)
            for precision in asked
            for graphs in (True, False)
        )
    if wish.device == "cuda" and not wish.cpu_fallback:
        return
    if wish.engine != "torch":
        yield from (partial(_openvino, artifact, wish, precision) for precision in asked)
    if wish.engine == "torch" or (wish.engine == "auto" and installed("torch")):
        yield from (partial(_torch, artifact, "cpu", wish, precision) for precision in asked)


def _precisions(wish: Wish) -> tuple[Precision, ...]:
    """What was asked for, then f32."""
    return ("f32",) if wish.precision == "auto" or wish.precision == "f32" else (wish.precision, "f32")


def installed(module: str) -> bool:
    """Whether a top-level module can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def _has_bf16() -> bool:
    from squeezenet.engines.openvino_runtime import has_bf16

    return has_bf16()


def _openvino(artifact: Artifact, wish: Wish, precision: Precision) -> Engine:
    from squeezenet.engines.openvino_engine import OpenVINOEngine

    if precision == "bf16" and not _has_bf16():
        raise EngineError("bf16 is not used: this CPU does not compute it itself")
    if precision == "int8" and (why := quantization.refusal(artifact.config.quantization)):
        raise EngineError(f"int8 is not used: {why}")
    try:
        return OpenVINOEngine(artifact, wish.threads, wish.streams, precision)
    except RuntimeError as error:
        # OpenVINO has no error class of its own.
        raise EngineError(f"openvino cannot compile the network in {precision}: {error}") from error


def _torch(
    artifact: Artifact, device: Device, wish: Wish, precision: Precision, graphs: bool = False
) -> Engine:
    if device == "cuda" and not gpu_files():
        raise DeviceError(
            "no CUDA device is visible here: give the pod a GPU (spec.accelerator.gpus: 1), or use the CPU."
        )
    if not installed("torch"):
        error = DeviceError if device == "cuda" else EngineError
        raise error(f"torch is not installed: take the predictor image that is built with TORCH={device}.")
    from squeezenet.engines.torch_engine import TorchEngine

    return TorchEngine(artifact, device, wish.threads, precision, graphs)
