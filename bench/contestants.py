"""Who takes part: how each is installed and started, and how a picture is sent to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench import load
from bench.load import Send
from bench.pictures import Picture

REQUIREMENTS = Path(__file__).parent / "requirements"
OURS = "SqueezeServe"
Connect = Callable[[aiohttp.ClientSession, str], Send]


@dataclass(frozen=True)
class Contestant:
    """`command` follows the Python of its environment; None installs nothing beside this project's own."""

    name: str
    command: Sequence[str]
    path: str
    connect: Connect
    requirements: str | None = None
    engine: str = "torch"

    @property
    def title(self) -> str:
        """Name and engine."""
        return f"{self.name}, {self.engine}"


def ours(port: int, grpc_port: int, weights: str) -> Contestant:
    """This project's predictor, with its defaults."""
    command = (
        *("-m", "squeeze_predictor", "--host=127.0.0.1", "--model-name=squeezenet", f"--weights={weights}"),
        *(f"--port={port}", f"--grpc-port={grpc_port}"),
    )
    return Contestant(OURS, command, "/v1/models/squeezenet:predict", load.raw, engine="openvino")


def peers(port: int) -> list[Contestant]:
    """Other servers as their documentation shows, with PyTorch and with this project's engine inside."""
    module = "bench.servers"
    documented = [
        Contestant("FastAPI", ("-m", f"{module}.fastapi_server"), "/predict", load.raw),
        Contestant("KServe SDK", ("-m", f"{module}.kserve_server"), "/v1/models/squeezenet:predict", load.v1),
        Contestant("LitServe", ("-m", f"{module}.litserve_server"), "/predict", load.v1, "litserve"),
        Contestant(
            *("mosec", ("-m", f"{module}.mosec_server", "--address", "127.0.0.1", "--port", str(port))),
            *("/inference", load.raw, "mosec"),
        ),
        Contestant(
            "BentoML",
            (
                *("-m", "bentoml", "serve", f"{module}.bentoml_server:Classifier"),
                *("--host", "127.0.0.1", "--port", str(port)),
            ),
            "/predict",
            _uploaded,
            "bentoml",
        ),
        Contestant("Ray Serve", ("-m", f"{module}.ray_server"), "/predict", load.raw, "ray"),
    ]
    return [
        Contestant(one.name, one.command, one.path, one.connect, one.requirements, engine)
        for one in documented
        for engine in ("torch", "openvino")
    ]


def _uploaded(session: aiohttp.ClientSession, url: str) -> Send:
    """A multipart form with the picture as `image`."""

    async def send(picture: Picture) -> int:
        form = aiohttp.FormData()
        form.add_field("image", picture.jpeg, filename="picture.jpg", content_type="image/jpeg")
        async with session.post(url, data=form) as response:
            if response.status != 200:
                raise ValueError(f"HTTP {response.status}: {(await response.text())[:120]}")
            return int((await response.json())["predictions"][0]["class_id"])

    return send
