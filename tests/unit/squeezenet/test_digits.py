"""The digits network: training is reproducible, a dead network is noticed, the record is true."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from squeezenet import artifact as artifacts
from squeezenet.classify import top_k
from squeezenet.digits import builtin, data, evaluation, training
from squeezenet.digits.augmentation import augment
from squeezenet.digits.export import export
from squeezenet.digits.training import Recipe, StallWatch, TrainingError, train
from squeezenet.engines.torch_engine import TorchEngine
from squeezenet.errors import ConfigError
from squeezenet.preprocess import preprocess
from squeezenet.sources import BUILTIN

FOLDER = BUILTIN / "digits"


def no_report(_: str) -> None:
    """Training's progress is of no interest here."""


def test_split_is_disjoint_stratified_and_fixed_by_its_seed() -> None:
    first, again, other = data.load(0), data.load(0), data.load(1)
    np.testing.assert_array_equal(first.test.cells, again.test.cells)
    assert not np.array_equal(first.test.cells, other.test.cells)
    sizes = [len(part) for part in (first.train, first.validation, first.test)]
    assert sizes == [1167, 270, 360]
    for part in (first.train, first.validation, first.test):
        counts = np.bincount(part.classes, minlength=10)
        assert counts.max() - counts.min() <= max(3, 0.06 * len(part) / 10)


def test_same_seed_trains_the_same_weights_bit_for_bit() -> None:
    torch.manual_seed(123)
    first = train(Recipe(), no_report, max_iterations=3)
    torch.manual_seed(456)
    again = train(Recipe(), no_report, max_iterations=3)
    other = train(Recipe(seed=1), no_report, max_iterations=3)
    for name, array in first.state.items():
        np.testing.assert_array_equal(array, again.state[name])
    assert not np.array_equal(first.state["features.0.weight"], other.state["features.0.weight"])


def test_training_leaves_the_process_settings_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    train(Recipe(), no_report, max_iterations=1)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    assert torch.equal(torch.rand(1), expected)


def test_watch_ends_an_attempt_that_only_guesses() -> None:
    watch = StallWatch(10, margin=0.02, patience=3)
    stuck, learning = math.log(10) - 0.019, math.log(10) - 0.021
    for loss in (stuck, stuck, learning, stuck, stuck):
        watch.see(loss)
    with pytest.raises(TrainingError, match="that of guessing, for 3"):
        watch.see(stuck)
    with pytest.raises(TrainingError, match="not finite"):
        watch.see(math.nan)


def test_dead_network_is_restarted_and_then_fails_loudly() -> None:
    # At a rate of 5 the first steps kill every logit, and the loss is ln(10) from then on.
    lines: list[str] = []
    recipe = Recipe(learning_rate=5.0, warmup=1, stall_iterations=3, attempts=2, batch=8)
    with pytest.raises(TrainingError, match="lower the learning rate"):
        train(recipe, lines.append)
    assert [line.split(":")[0] for line in lines] == ["attempt 1 of 2", "attempt 2 of 2"]


def test_head_starts_alive_for_every_seed() -> None:
    inputs = training.to_inputs(replace_count(data.load(0).train, 16))
    for seed in range(10):
        torch.manual_seed(seed)
        network = training.build(0.0).eval()
        with torch.inference_mode():
            logits = network(inputs.expand(-1, 3, -1, -1))
        assert (logits > 0).float().mean() > 0.5, f"seed {seed}"


def replace_count(subset: data.Subset, count: int) -> data.Subset:
    return replace(subset, cells=subset.cells[:count], classes=subset.classes[:count])


def test_augmentation_stays_in_range_and_inverts_about_half() -> None:
    pictures = training.to_inputs(replace_count(data.load(0).train, 64)).repeat(4, 1, 1, 1)
    varied = augment(pictures, torch.Generator().manual_seed(0))
    assert varied.shape == pictures.shape
    assert varied.min() >= -1e-6
    assert varied.max() <= 1 + 1e-6
    dark = (varied.mean(dim=(1, 2, 3)) < 0.5).float().mean()
    assert 0.3 < dark < 0.7


def test_confusion_counts_true_rows_and_found_columns() -> None:
    table = evaluation.confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    assert table.tolist() == [[1, 1], [0, 1]]


def test_recorded_accuracy_is_what_evaluation_gives() -> None:
    recorded = artifacts.load("builtin://digits").config.metrics
    assert recorded["test_accuracy"] >= 0.97
    measured = builtin.evaluate("builtin://digits")
    for name in ("test_accuracy", "test_accuracy_light_on_dark", "test_pictures"):
        assert measured[name] == pytest.approx(recorded[name], abs=1e-4), name
    assert sum(map(sum, measured["confusion"])) == measured["test_pictures"] == 360
    assert "held-out" in builtin.summary(measured)


def test_built_in_artifact_is_small_and_says_how_it_was_made() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size < 2_000_000
    document = json.loads((FOLDER / "config.json").read_text())
    assert document["provenance"]["recipe"]["seed"] == Recipe().seed
    assert {"data", "torch", "recipe", "attempt"} <= set(document["provenance"])
    assert artifacts.load("builtin://digits").labels == tuple("0123456789")


@pytest.mark.parametrize("digit", range(10))
def test_samples_are_held_out_digits_and_classified_right(digit: int) -> None:
    artifact = artifacts.load("builtin://digits")
    sample = (FOLDER / "samples" / f"{digit}.png").read_bytes()
    test = data.load(Recipe().seed).test
    held_out = [data.render(cells).tobytes() for cells in test.cells[test.classes == digit]]
    from squeezenet.pictures import decode

    assert decode(sample).convert("L").tobytes() in held_out
    logits = TorchEngine(artifact).classify_tensors(preprocess(sample, artifact.config.input)[None])[0]
    assert top_k(logits, artifact.labels, 1)[0].label == str(digit)


def test_other_networks_are_not_evaluated_on_digits(tmp_path: Path) -> None:
    artifact = artifacts.load("builtin://digits")
    folder = artifacts.save(replace(artifact, labels=tuple("abcdefghij")), tmp_path)
    with pytest.raises(ConfigError, match="not 0 to 9"):
        builtin.evaluate(str(folder))


def test_the_exported_tree_has_the_split_of_the_built_in_network(tmp_path: Path) -> None:
    export(tmp_path / "digits")
    digits = data.load(0)
    for name, subset in (("train", digits.train), ("val", digits.validation), ("test", digits.test)):
        found = sorted((tmp_path / "digits" / name).glob("*/*.png"), key=lambda path: path.name)
        assert [path.read_bytes() for path in found] == subset.pictures()
        assert [path.parent.name for path in found] == [str(digit) for digit in subset.classes]
    with pytest.raises(ConfigError, match="is not empty"):
        export(tmp_path / "digits")
