"""Who takes part: how each is installed and started, and how a picture is sent to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import processes, protocols
from bench.protocols import Protocol

OURS = "SqueezeServe"
BATCH = 8


@dataclass(frozen=True)
class Contestant:
    """`command` follows the Python of its environment, with `{port}` and `{grpc_port}` filled in.

    `requirements` names a file in bench/requirements; None needs nothing beside this project's own. `batch`
    is the most pictures that the server's dynamic batching computes at once; 1 is none.
    """

    name: str
    command: Sequence[str]
    path: str
    protocol: Protocol
    requirements: str | None = None
    engine: str = "torch"
    batch: int = 1

    @property
    def title(self) -> str:
        """Name and engine, and whether it batches."""
        return f"{self.name}, {self.engine}" + (", batched" if self.batch > 1 else "")

    def started(self, python: Path, port: int, grpc_port: int = 0) -> list[str]:
        """The command that starts it."""
        return [str(python), *(part.format(port=port, grpc_port=grpc_port) for part in self.command)]

    def variables(self, weights: str, port: int) -> dict[str, str]:
        """What bench.servers read from the environment."""
        return {
            **processes.threads(1),
            "BENCH_ENGINE": self.engine,
            "BENCH_BATCH": str(self.batch),
            "BENCH_WEIGHTS": weights,
            "BENCH_PORT": str(port),
        }


def ours(weights: str, module: str = "squeeze_predictor") -> Contestant:
    """This project's predictor with its defaults: in float32, as the limit and the other servers."""
    command = (
        *("-m", module, "--host=127.0.0.1", "--model-name=squeezenet", f"--weights={weights}"),
        *("--port={port}", "--grpc-port={grpc_port}"),
    )
    return Contestant(OURS, command, "/v1/models/squeezenet:predict", protocols.RAW, engine="openvino")


def ours_in_bf16(weights: str) -> Contestant:
    """This project's predictor where bfloat16 is allowed."""
    one = ours(weights)
    return replace(one, command=(*one.command, "--precision=bf16"), engine="bf16")


def peers() -> list[Contestant]:
    """Other servers as their documentation shows: with PyTorch, with this project's engine, and batched."""
    module = "bench.servers"
    # Its own limit of 3 seconds would turn a slow minute of the machine into errors.
    patient = ("--timeout", "30000")
    mosec = ("-m", f"{module}.mosec_server", "--address", "127.0.0.1", "--port", "{port}", *patient)
    bento = ("-m", "bentoml", "serve", "--host", "127.0.0.1", "--port", "{port}")
    single = [
        Contestant("FastAPI", ("-m", f"{module}.fastapi_server"), "/predict", protocols.RAW),
        Contestant(
            "KServe SDK", ("-m", f"{module}.kserve_server"), "/v1/models/squeezenet:predict", protocols.V1
        ),
    ]
    batching = [
        Contestant("LitServe", ("-m", f"{module}.litserve_server"), "/predict", protocols.V1, "litserve"),
        Contestant("mosec", mosec, "/inference", protocols.RAW, "mosec"),
        Contestant(
            "BentoML", (*bento, f"{module}.bentoml_server:Classifier"), "/predict", protocols.FORM, "bentoml"
        ),
        Contestant("Ray Serve", ("-m", f"{module}.ray_server"), "/predict", protocols.RAW, "ray"),
        Contestant(
            *("TorchServe", ("-m", f"{module}.torchserve_server"), "/predictions/squeezenet"),
            *(protocols.RAW, "torchserve"),
        ),
    ]
    engines = [
        replace(one, engine=engine) for one in [*single, *batching] for engine in ("torch", "openvino")
    ]
    return engines + [_batched(one, bento) for one in batching]


def _batched(one: Contestant, bento: Sequence[str]) -> Contestant:
    """With dynamic batching; BentoML declares it by a service of its own, which takes a list."""
    if one.name == "BentoML":
        command = (*bento, "bench.servers.bentoml_batched:Classifier")
        one = replace(one, command=command, protocol=protocols.FORM_BATCH)
    return replace(one, batch=BATCH)
