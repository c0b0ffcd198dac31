"""Real trainings from random weights: defaults learn, and a rate that kills the network is recovered from."""

from __future__ import annotations

from pathlib import Path

from squeeze_trainer import runs
from squeezenet import artifact as artifacts
from unit.trainer import training, trees

from bench import learning


def test_the_defaults_learn_from_random_weights(tmp_path: Path) -> None:
    case = learning.Case("train", classes=2, factor=1, seed=1)
    found = learning.run(case, learning.write(tmp_path / "data", 2), tmp_path / "out")
    assert (found.end, found.failures) == ("learned", ())


def test_a_rate_that_kills_the_network_is_noticed_said_and_lowered_until_it_learns(tmp_path: Path) -> None:
    data = trees.tree(tmp_path / "data", counts={"train": 24, "val": 12, "test": 12})
    run = training.settings(
        data,
        tmp_path / "out",
        initial=None,
        learning_rate=0.1,
        batch=16,
        epochs=None,
        iterations=150,
        validate_every=25,
        attempts=4,
    )
    runs.train(run)
    made = artifacts.load(tmp_path / "out" / "model").config
    failures = made.provenance["failed_attempts"]
    assert failures
    assert all("dead" in failure for failure in failures)
    assert made.provenance["attempts"] == len(failures) + 1
    assert made.metrics["test"]["top1"] >= 0.75
    report = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "Attempt 1 was given up" in report
