"""Recorded passes give the network's own answers, whatever the size of the batch, or are refused."""

import numpy as np
import pytest
import torch
from squeezenet.artifact import Artifact
from squeezenet.engines import select, torch_engine
from squeezenet.engines.base import Precision
from squeezenet.engines.cuda_graphs import GraphedNetwork, Record, Recording
from squeezenet.engines.torch_engine import PASS, TorchEngine, build_network
from squeezenet.errors import EngineError
from unit.squeezenet.test_engine import pictures, random_artifact

SIZES = (4, 1)


def network() -> torch.nn.Module:
    return build_network(random_artifact()).to(memory_format=torch.channels_last)


def computed(network: torch.nn.Module, given: torch.Tensor) -> Recording:
    """On a CPU a replay computes the network anew, in the same two places."""
    output = network(given).clone()

    def replay() -> None:
        output.copy_(network(given))

    return Recording(given, output, replay)


def graphed(record: Record) -> GraphedNetwork:
    return GraphedNetwork(network(), SIZES, crop=64, tolerance=1e-3, record=record)


@torch.inference_mode()
def test_each_size_of_a_batch_gets_the_networks_answers() -> None:
    plain, fixed = network(), graphed(computed)
    for count in (4, 1, 3, 2, 4):
        batch = torch.rand(count, 3, 64, 64)
        torch.testing.assert_close(fixed(batch), plain(batch))


def test_a_replay_that_computes_nothing_is_refused() -> None:
    def nothing(network: torch.nn.Module, given: torch.Tensor) -> Recording:
        return Recording(given, network(given), lambda: None)

    with pytest.raises(EngineError, match=r"a CUDA graph of 1 pictures is .* off"):
        graphed(nothing)


def test_a_replay_of_nan_is_refused() -> None:
    def broken(network: torch.nn.Module, given: torch.Tensor) -> Recording:
        output = network(given).fill_(torch.nan)
        return Recording(given, output, lambda: None)

    with pytest.raises(EngineError, match="nan off"):
        graphed(broken)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_nothing_can_be_recorded() -> None:
    with pytest.raises(EngineError, match="torch cannot record CUDA graphs in f32"):
        TorchEngine(random_artifact(), graphs=True)


def test_a_gpu_computes_in_graphs_or_else_without(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def on_the_cpu(
        artifact: Artifact, device: str, threads: int, precision: Precision, graphs: bool
    ) -> TorchEngine:
        asked.append((device, precision, graphs))
        return TorchEngine(artifact, "cpu", threads, "f32", graphs)

    monkeypatch.setattr(select, "gpu_files", lambda: True)
    monkeypatch.setattr(torch_engine, "TorchEngine", on_the_cpu)
    chosen = select.start(random_artifact(), select.Wish(device="cuda", precision="bf16"))
    assert asked == [("cuda", "bf16", True), ("cuda", "bf16", False)]
    assert "torch cannot record CUDA graphs" in chosen.passed_over[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_graphs_on_a_gpu() -> None:
    artifact, squares = random_artifact("squeezenet1_0"), pictures(PASS + 3)
    gpu, cpu = TorchEngine(artifact, device="cuda", graphs=True), TorchEngine(artifact)
    assert select.start(artifact, select.Wish(device="cuda")).passed_over == (), "graphs come first"
    expected = cpu.classify_pixels(squares)
    for count in (1, 2, 3, 5, 17, PASS, PASS + 3, 1):
        found = gpu.classify_pixels(squares[:count])
        np.testing.assert_allclose(found, expected[:count], rtol=1e-3, atol=1e-4)
