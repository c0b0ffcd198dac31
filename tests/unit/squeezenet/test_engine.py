"""The reference engine: torchvision's network, any batch size, honest about its device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from squeezenet.architecture import tensor_shapes
from squeezenet.artifact import Artifact
from squeezenet.config import ArtifactConfig, InputSpec
from squeezenet.engine import Engine, TorchEngine
from squeezenet.errors import DeviceError
from torchvision.models import get_model


def random_artifact(architecture: str) -> Artifact:
    random = np.random.default_rng(0)
    state = {
        name: (random.normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)
        for name, shape in tensor_shapes(architecture, 5).items()
    }
    return Artifact(ArtifactConfig(architecture, 5, InputSpec(64, 64)), tuple("abcde"), state, "")


@pytest.mark.parametrize("architecture", ["squeezenet1_0", "squeezenet1_1"])
def test_logits_equal_torchvisions_network(architecture: str) -> None:
    artifact = random_artifact(architecture)
    reference = get_model(architecture, weights=None, num_classes=5).eval()
    reference.load_state_dict({name: torch.tensor(array) for name, array in artifact.state.items()})
    batch = np.random.default_rng(1).normal(size=(3, 3, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        expected = reference(torch.from_numpy(batch)).numpy()
    assert expected.max() > 0, "a network of zeros would prove nothing"
    found = TorchEngine(artifact).infer(batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_picture_answers_alike_alone_and_in_a_batch() -> None:
    engine = TorchEngine(random_artifact("squeezenet1_1"))
    batch = np.random.default_rng(1).normal(size=(7, 3, 64, 64)).astype(np.float32)
    together = engine.infer(batch)
    alone = np.concatenate([engine.infer(batch[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_engine_describes_itself_and_sets_threads() -> None:
    before = torch.get_num_threads()
    try:
        engine = TorchEngine(random_artifact("squeezenet1_1"), threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert isinstance(engine, Engine)
    assert (engine.name, engine.device) == ("torch", "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_a_device_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"accelerator\.gpus") as caught:
        TorchEngine(random_artifact("squeezenet1_1"), device="cuda")
    assert caught.value.reason == "NoCudaDevice"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu() -> None:
    artifact = random_artifact("squeezenet1_0")
    batch = np.random.default_rng(1).normal(size=(3, 3, 64, 64)).astype(np.float32)
    gpu, cpu = TorchEngine(artifact, device="cuda"), TorchEngine(artifact)
    assert gpu.device == "cuda"
    np.testing.assert_allclose(gpu.infer(batch), cpu.infer(batch), rtol=1e-3, atol=1e-4)
