"""Precisions: integer and bfloat16 kernels really run, answers hold, and what cannot be used falls back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from squeezenet import artifact as artifacts
from squeezenet import golden, quantization
from squeezenet.artifact import Artifact
from squeezenet.classify import softmax
from squeezenet.digits import data, evaluation
from squeezenet.engines import numpy_reference, openvino_runtime, select
from squeezenet.engines.base import Engine, Precision
from squeezenet.engines.openvino_engine import OpenVINOEngine, build_model
from squeezenet.engines.openvino_runtime import core, has_bf16
from squeezenet.engines.torch_engine import TorchEngine
from squeezenet.errors import EngineError
from squeezenet.preprocess import decode, normalise, to_pixels
from squeezenet.quantization import MAX_TOP1_LOSS

LOWER: tuple[Precision, ...] = ("bf16", "int8")
needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this CPU does not compute bfloat16 itself")
Squares = NDArray[np.uint8]


@pytest.fixture(scope="module")
def digits() -> Artifact:
    return artifacts.load("builtin://digits")


@pytest.fixture(scope="module")
def squares(digits: Artifact) -> Squares:
    pictures = data.load(0).test.pictures()
    return np.stack([to_pixels(decode(picture), digits.config.input) for picture in pictures])


def without_int8(artifact: Artifact) -> Artifact:
    return replace(artifact, int8=None, config=replace(artifact.config, quantization=None))


def with_golden(artifact: Artifact, change: Callable[[golden.Golden], golden.Golden]) -> Artifact:
    """The artifact with other int8 golden logits."""
    assert artifact.int8 is not None
    return replace(artifact, int8=replace(artifact.int8, golden=change(artifact.int8.golden)))


def kernels(artifact: Artifact, precision: Precision) -> list[str]:
    """The numbers in which each convolution of the compiled network takes its input."""
    hint = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    compiled = core().compile_model(build_model(artifact, precision), "CPU", hint)
    facts = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    return [
        each["runtimePrecision"].astype(str)
        for each in facts
        if each["layerType"].astype(str) == "Convolution"
    ]


def test_every_convolution_is_computed_in_the_precision_asked_for(digits: Artifact) -> None:
    assert kernels(digits, "f32") == ["f32"] * 26
    assert kernels(digits, "int8") == ["u8"] * 26


@needs_bf16
def test_every_convolution_is_computed_in_bfloat16(digits: Artifact) -> None:
    assert kernels(digits, "bf16") == ["bf16"] * 26


@pytest.mark.parametrize("precision", ["f32", pytest.param("bf16", marks=needs_bf16), "int8"])
def test_top_1_on_the_test_split_is_within_half_a_point_of_f32(
    digits: Artifact, precision: Precision
) -> None:
    test, record = data.load(0).test, digits.config.quantization
    found = evaluation.accuracy(digits, OpenVINOEngine(digits, precision=precision), test)
    before = evaluation.accuracy(digits, OpenVINOEngine(digits), test)
    assert found >= before - MAX_TOP1_LOSS
    if precision == "int8":
        assert record is not None
        assert (record.top1_f32, record.top1_int8) == pytest.approx((before, found), abs=1e-6)


@pytest.mark.parametrize(
    ("precision", "most", "on_average"),
    [pytest.param("bf16", 0.1, 0.002, marks=needs_bf16), ("int8", 0.25, 0.005)],
)
def test_probabilities_stay_near_those_of_f32(
    digits: Artifact, squares: Squares, precision: Precision, most: float, on_average: float
) -> None:
    before = softmax(OpenVINOEngine(digits).classify_pixels(squares))
    after = softmax(OpenVINOEngine(digits, precision=precision).classify_pixels(squares))
    change = np.abs(after - before).max(axis=1)
    assert 0 < change.max() < most
    assert change.mean() < on_average


@pytest.mark.parametrize("precision", [pytest.param("bf16", marks=needs_bf16), "int8"])
def test_a_picture_answers_alike_as_pixels_and_as_a_tensor(
    digits: Artifact, squares: Squares, precision: Precision
) -> None:
    engine = OpenVINOEngine(digits, precision=precision)
    expected = engine.classify_pixels(squares[:20])
    found = engine.classify_tensors(normalise(squares[:20], digits.config.input))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_int8_is_what_the_numpy_reference_computes(digits: Artifact, squares: Squares) -> None:
    assert digits.int8 is not None
    state = quantization.reference_state(digits.int8.convolutions)
    expected = numpy_reference.quantized_logits(digits.config, state, squares[:8])
    found = OpenVINOEngine(digits, precision="int8").classify_pixels(squares[:8])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert np.abs(found - numpy_reference.logits(digits.config, digits.state, squares[:8])).max() > 0.01


@pytest.mark.parametrize("instruction_set", ["AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"])
def test_every_instruction_set_gives_the_same_int8_answers(
    digits: Artifact, squares: Squares, tmp_path: Path, instruction_set: str
) -> None:
    """A set that this CPU lacks is no limit to it, and the test repeats the comparison with itself."""
    np.save(tmp_path / "squares.npy", squares[:40])
    program = (
        "import sys, numpy as np; from squeezenet import artifact; "
        "from squeezenet.engines.openvino_engine import OpenVINOEngine; "
        "engine = OpenVINOEngine(artifact.load('builtin://digits'), precision='int8'); "
        "np.save(sys.argv[2], engine.classify_pixels(np.load(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "squares.npy"), str(tmp_path / "found.npy")]
    subprocess.run(command, env={**os.environ, "ONEDNN_MAX_CPU_ISA": instruction_set}, check=True)
    expected = OpenVINOEngine(digits, precision="int8").classify_pixels(squares[:40])
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, rtol=1e-3, atol=1e-3)


def test_int8_without_int8_weights_is_no_graph(digits: Artifact) -> None:
    with pytest.raises(ValueError, match="no int8 weights"):
        build_model(without_int8(digits), "int8")


def test_int8_answers_where_it_was_asked_for(digits: Artifact) -> None:
    chosen = select.start(digits, select.Wish(precision="int8"))
    assert (chosen.engine.name, chosen.engine.precision) == ("openvino", "int8")
    assert chosen.passed_over == ()
    assert chosen.difference < golden.TOLERANCE["int8"]


def test_int8_is_never_chosen_unasked(digits: Artifact) -> None:
    assert select.start(digits, select.Wish()).engine.precision != "int8"
    assert select.start(digits, select.Wish(precision="f32")).engine.precision == "f32"


def assert_falls_back(artifact: Artifact, precision: Precision, why: str) -> None:
    chosen = select.start(artifact, select.Wish(precision=precision))
    assert (chosen.engine.name, chosen.engine.precision) == ("openvino", "f32")
    assert len(chosen.passed_over) == 1
    assert why in chosen.passed_over[0]


def test_int8_that_the_artifact_does_not_have_falls_back(digits: Artifact) -> None:
    assert_falls_back(without_int8(digits), "int8", "no int8 weights: make them with `squeezenet quantize`")


def test_int8_whose_record_is_too_bad_falls_back(digits: Artifact) -> None:
    assert digits.config.quantization is not None
    record = replace(digits.config.quantization, top1_int8=0.98)
    worse = replace(digits, config=replace(digits.config, quantization=record))
    assert_falls_back(worse, "int8", "its top-1 on 360 test pictures is 0.9800, more than 0.005 below")


def test_int8_that_computes_something_else_falls_back(digits: Artifact) -> None:
    other = with_golden(digits, lambda proof: replace(proof, logits=proof.logits * np.float32(1.1)))
    assert_falls_back(other, "int8", "openvino on cpu in int8 differs from the golden logits by")


def test_int8_with_another_best_class_falls_back(digits: Artifact) -> None:
    def tie(proof: golden.Golden) -> golden.Golden:
        logits = proof.logits.copy()
        best, second = logits[0].argsort()[:-3:-1]
        logits[0, second] = np.nextafter(logits[0, best], np.float32(np.inf))
        return replace(proof, logits=logits)

    # Within the tolerance, so that only the order is wrong.
    changed = with_golden(digits, tie)
    assert digits.int8 is not None
    assert changed.int8 is not None
    gap = np.abs(changed.int8.golden.logits - digits.int8.golden.logits).max()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(golden, "TOLERANCE", {**golden.TOLERANCE, "int8": float(2 * gap)})
        assert_falls_back(changed, "int8", "openvino on cpu in int8 finds another best class")


@needs_bf16
def test_bf16_is_taken_where_it_is_asked_for(digits: Artifact) -> None:
    chosen = select.start(digits, select.Wish(precision="bf16"))
    assert (chosen.engine.precision, chosen.passed_over) == ("bf16", ())


def test_nobody_gets_less_than_f32_unasked(digits: Artifact) -> None:
    chosen = select.start(digits, select.Wish())
    assert (chosen.engine.precision, chosen.passed_over) == ("f32", ())


def test_bf16_on_a_cpu_without_it_falls_back(digits: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_runtime, "has_bf16", lambda: False)
    assert_falls_back(digits, "bf16", "this CPU does not compute it itself")


@needs_bf16
def test_bf16_that_is_too_far_off_falls_back(digits: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "TOLERANCE", {**golden.TOLERANCE, "bf16": 1e-6})
    assert_falls_back(digits, "bf16", "openvino on cpu in bf16 differs from the golden logits")


@pytest.mark.parametrize("precision", LOWER)
def test_torch_on_a_cpu_computes_f32_and_says_so(digits: Artifact, precision: Precision) -> None:
    chosen = select.start(digits, select.Wish(engine="torch", device="cpu", precision=precision))
    assert (chosen.engine.name, chosen.engine.precision) == ("torch", "f32")
    assert chosen.passed_over == (f"{precision} is not used: torch computes f32, and bf16 on a GPU",)
    with pytest.raises(EngineError, match="int8 is not used"):
        TorchEngine(digits, device="cuda", precision="int8")


@pytest.mark.skipif(not select.gpu_files(), reason="no CUDA device")
def test_bf16_on_a_gpu(digits: Artifact, squares: Squares) -> None:
    chosen = select.start(digits, select.Wish(engine="torch", device="cuda", precision="bf16"))
    engine: Engine = chosen.engine
    assert (engine.device, engine.precision, chosen.passed_over) == ("cuda", "bf16", ())
    before = OpenVINOEngine(digits).classify_pixels(squares)
    changed = (engine.classify_pixels(squares).argmax(axis=1) != before.argmax(axis=1)).sum()
    assert changed <= 2
