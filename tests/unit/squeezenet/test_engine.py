"""Every engine computes torchvision's network, proves it at load, and is honest about its device."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from squeezenet import golden
from squeezenet.architecture import tensor_shapes
from squeezenet.artifact import Artifact
from squeezenet.config import ArtifactConfig, InputSpec
from squeezenet.engines import numpy_reference, select
from squeezenet.engines.base import Engine
from squeezenet.engines.openvino_engine import OpenVINOEngine
from squeezenet.engines.torch_engine import PASS, TorchEngine
from squeezenet.errors import ConfigError, DeviceError, EngineError
from squeezenet.preprocess import normalise
from torchvision.models import get_model

ENGINES = [TorchEngine, OpenVINOEngine]
Make = Callable[[Artifact], Engine]
every_engine = pytest.mark.parametrize("make", ENGINES)
every_architecture = pytest.mark.parametrize("architecture", ["squeezenet1_0", "squeezenet1_1"])


def random_artifact(architecture: str = "squeezenet1_1", crop: int = 64) -> Artifact:
    random = np.random.default_rng(0)
    state = {
        name: (random.normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)
        for name, shape in tensor_shapes(architecture, 5).items()
    }
    # A mean and std of each channel's own, so that a mixed-up channel shows.
    spec = InputSpec(crop, crop, (0.1, 0.5, 0.9), (0.2, 0.3, 0.4))
    return Artifact(ArtifactConfig(architecture, 5, spec), tuple("abcde"), state, "")


def pictures(count: int, crop: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, crop, crop, 3), np.uint8)


def torchvision_logits(artifact: Artifact, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    reference = get_model(artifact.config.architecture, weights=None, num_classes=5).eval()
    reference.load_state_dict({name: torch.tensor(array) for name, array in artifact.state.items()})
    with torch.inference_mode():
        expected: NDArray[np.float32] = reference(torch.from_numpy(batch)).numpy()
    assert expected.max() > 0, "a network of zeros would prove nothing"
    return expected


# 63 to 66: each pooling meets sizes that leave a rest and sizes that leave none.
@every_architecture
@pytest.mark.parametrize("crop", [21, 63, 64, 65, 66, 227])
def test_logits_equal_torchvisions_network(architecture: str, crop: int) -> None:
    artifact, squares = random_artifact(architecture, crop), pictures(2, crop)
    batch = normalise(squares, artifact.config.input)
    expected = torchvision_logits(artifact, batch)
    close = partial(np.testing.assert_allclose, desired=expected, rtol=1e-4, atol=1e-5)
    close(numpy_reference.logits(artifact.config, artifact.state, squares))
    for make in ENGINES:
        engine = make(artifact)
        found = engine.classify_pixels(squares)
        assert found.dtype == np.float32
        close(found, err_msg=engine.name)
        close(engine.classify_tensors(batch), err_msg=engine.name)


@every_engine
def test_a_picture_answers_alike_alone_and_in_a_batch(make: Make) -> None:
    engine, squares = make(random_artifact()), pictures(PASS + 1)
    alone = np.concatenate([engine.classify_pixels(square[None]) for square in squares])
    np.testing.assert_allclose(engine.classify_pixels(squares), alone, rtol=1e-4, atol=1e-5)


@every_engine
def test_many_threads_may_ask_at_a_time(make: Make) -> None:
    engine, squares = make(random_artifact()), pictures(40)
    expected = engine.classify_pixels(squares)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda square: engine.classify_pixels(square[None])[0], squares))
    np.testing.assert_allclose(np.stack(found), expected, rtol=1e-4, atol=1e-5)


def test_streams_and_threads_do_not_change_an_answer() -> None:
    artifact, squares = random_artifact(), pictures(3)
    expected = OpenVINOEngine(artifact).classify_pixels(squares)
    for threads, streams in ((2, 1), (2, 2), (1, 4), (4, None)):
        found = OpenVINOEngine(artifact, threads, streams).classify_pixels(squares)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_engines_describe_themselves() -> None:
    before = torch.get_num_threads()
    try:
        engine = TorchEngine(random_artifact(), threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert isinstance(engine, Engine)
    assert (engine.name, engine.device, engine.precision) == ("torch", "cpu", "f32")
    other = OpenVINOEngine(random_artifact())
    assert isinstance(other, Engine)
    assert (other.name, other.device, other.precision) == ("openvino", "cpu", "f32")


def test_the_cpu_needs_neither_pytorch_nor_openvinos_converter(tmp_path: Path) -> None:
    torch.save({k: torch.tensor(v) for k, v in random_artifact().state.items()}, tmp_path / "a.pth")
    program = (
        "import sys; from squeezenet import artifact; from squeezenet.engines import select; "
        f"chosen = select.start(artifact.load({str(tmp_path / 'a.pth')!r}), select.Wish()); "
        "print(chosen.engine.name, {'torch', 'openvino.tools', 'openvino.tools.ovc'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino set()"


class WrongEngine:
    """Computes the network with one channel's sign turned, as a broken kernel might."""

    name, device = "openvino", "cpu"

    def __init__(self, artifact: Artifact, *arguments: object) -> None:
        self.precision = arguments[-1] if arguments else "f32"
        state = {**artifact.state, "features.3.squeeze.bias": -artifact.state["features.3.squeeze.bias"]}
        self._engine = TorchEngine(replace(artifact, state=state))

    def classify_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._engine.classify_pixels(pixels)


def test_an_engine_that_computes_something_else_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("squeezenet.engines.openvino_engine.OpenVINOEngine", WrongEngine)
    # In f32, since so small a fault is less than what bfloat16 rounds away.
    chosen = select.start(random_artifact(), select.Wish(precision="f32"))
    assert chosen.engine.name == "torch"
    assert chosen.difference < golden.TOLERANCE["f32"]
    assert "openvino on cpu in f32 differs from the golden logits" in chosen.passed_over[0]
    with pytest.raises(EngineError, match="no engine computes this network: openvino on cpu in f32 differs"):
        select.start(random_artifact(), select.Wish(engine="openvino", precision="f32"))


def test_an_engine_that_does_not_compile_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("Exception from src/inference: no such primitive")

    monkeypatch.setattr("squeezenet.engines.openvino_engine.OpenVINOEngine", broken)
    chosen = select.start(random_artifact(), select.Wish())
    assert chosen.engine.name == "torch"
    assert "no such primitive" in chosen.passed_over[0]


def test_an_engine_that_is_not_installed_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert select.start(random_artifact(), select.Wish()).engine.name == "torch"
    monkeypatch.setattr(select, "installed", lambda _: False)
    with pytest.raises(EngineError, match="openvino"):
        select.start(random_artifact(), select.Wish())


def test_golden_logits_of_other_weights_let_no_engine_answer() -> None:
    artifact = random_artifact()
    other = replace(artifact, state={name: array * 1.1 for name, array in artifact.state.items()})
    mixed = replace(artifact, golden=golden.make(other.config, other.state))
    with pytest.raises(EngineError, match=r"no engine.*openvino on cpu.*torch on cpu"):
        select.start(mixed, select.Wish())


def test_an_answer_that_is_not_finite_is_no_proof() -> None:
    artifact = random_artifact()

    class Infinite(WrongEngine):
        def classify_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.full((len(pixels), 5), np.inf, np.float32)

    with pytest.raises(EngineError, match="not finite"):
        golden.prove(Infinite(artifact), golden.make(artifact.config, artifact.state))  # type: ignore[arg-type]


@pytest.mark.skipif(select.gpu_files(), reason="this machine has a CUDA device")
def test_cuda_without_a_device() -> None:
    with pytest.raises(DeviceError, match=r"accelerator\.gpus") as caught:
        select.start(random_artifact(), select.Wish(device="cuda"))
    assert caught.value.reason == "NoCudaDevice"
    with pytest.raises(DeviceError):
        TorchEngine(random_artifact(), device="cuda")
    chosen = select.start(random_artifact(), select.Wish(device="cuda", cpu_fallback=True))
    assert (chosen.engine.name, chosen.engine.device) == ("openvino", "cpu")
    assert "no CUDA device" in chosen.passed_over[0]
    assert select.start(random_artifact(), select.Wish()).passed_over == ()


def test_a_gpu_without_pytorch_says_which_image_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "gpu_files", lambda: True)
    monkeypatch.setattr(select, "installed", lambda _: False)
    with pytest.raises(DeviceError, match="image that is built with TORCH=cuda"):
        select.start(random_artifact(), select.Wish(device="cuda"))
    assert "TORCH=cuda" in select.start(random_artifact(), select.Wish()).passed_over[0]
    with pytest.raises(EngineError, match="torch is not installed"):
        select.start(random_artifact(), select.Wish(engine="torch", device="cpu"))


def test_openvino_on_a_gpu_is_a_contradiction() -> None:
    with pytest.raises(ConfigError, match="openvino computes on CPUs"):
        select.start(random_artifact(), select.Wish(engine="openvino", device="cuda"))


def test_gpu_files(tmp_path: Path) -> None:
    assert not select.gpu_files(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    assert select.gpu_files(tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu() -> None:
    artifact, squares = random_artifact("squeezenet1_0"), pictures(3)
    gpu, cpu = TorchEngine(artifact, device="cuda"), TorchEngine(artifact)
    assert gpu.device == "cuda"
    np.testing.assert_allclose(
        gpu.classify_pixels(squares), cpu.classify_pixels(squares), rtol=1e-3, atol=1e-4
    )
