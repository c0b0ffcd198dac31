"""One server with tight limits for most tests, and one with ImageNet weights where they are at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import Predictor, running
from squeezenet.artifact import Artifact, save
from squeezenet.config import ArtifactConfig, InputSpec
from squeezenet.engines.torch_module import SqueezeNet

MAX_BYTES = 400_000
MAX_PIXELS = 500_000
MAX_BATCH = 4


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An artifact of random weights, whose answers differ from picture to picture."""
    torch.manual_seed(1)
    network = SqueezeNet("squeezenet1_1", 10)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    config = ArtifactConfig("squeezenet1_1", 10, InputSpec(64, 64))
    artifact = Artifact(config, tuple("0123456789"), state, "sha256:" + "0" * 64)
    return str(save(artifact, tmp_path_factory.mktemp("artifact")))


@pytest.fixture(scope="session")
def predictor(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """A server with limits that tests can reach."""
    flags = (
        f"--weights={weights}",
        f"--max-bytes={MAX_BYTES}",
        f"--max-pixels={MAX_PIXELS}",
        f"--max-batch={MAX_BATCH}",
        "--threads=1",
        "--queue-size=2",
        "--body-timeout=2",
    )
    with running(tmp_path_factory.mktemp("predictor"), *flags) as server:
        yield server


@pytest.fixture
def client(predictor: Predictor) -> Iterator[httpx.Client]:
    """A client of the server with tight limits."""
    with predictor.client() as opened:
        yield opened


@pytest.fixture(scope="session")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """A server with ImageNet weights, on the CPU in the place of a GPU unless there is one."""
    path = inputs.weights_folder() / inputs.IMAGENET_WEIGHTS
    if not path.is_file():
        pytest.skip(f"no ImageNet weights at {path}; set SQUEEZESERVE_WEIGHTS_DIR")
    copy = tmp_path_factory.mktemp("imagenet-weights") / Path(path).name
    copy.symlink_to(path)
    flags = (f"--weights={copy}", "--device=cuda", "--cpu-fallback")
    with running(tmp_path_factory.mktemp("imagenet"), *flags, name="imagenet") as server:
        yield server
