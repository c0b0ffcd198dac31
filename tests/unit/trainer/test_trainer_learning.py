"""Real trainings from random weights: defaults learn, and a rate that kills the network is lowered."""

from __future__ import annotations

from pathlib import Path

import pytest
from squeeze_trainer.errors import InterruptedRun
from squeeze_trainer.stopping import Stop
from unit.trainer import training, trees

from bench import learning


def test_the_defaults_learn_from_random_weights(tmp_path: Path) -> None:
    case = learning.Case("train", classes=2, factor=1, seed=1)
    found = learning.run(case, learning.write(tmp_path / "data", 2), tmp_path / "out")
    assert (found.end, found.failures) == ("learned", ())


def test_a_rate_that_kills_the_network_is_noticed_said_and_lowered(tmp_path: Path) -> None:
    data = trees.tree(tmp_path / "data", counts={"train": 12, "val": 4})
    run = training.settings(
        data, tmp_path / "out", initial=None, learning_rate=0.1, batch=4, epochs=40, attempts=2
    )
    stop = Stop()
    view = training.Watched(lambda _: stop.ask() if trainer.state.attempt else None)
    trainer = training.trainer(run, stop, view)
    with pytest.raises(InterruptedRun):
        trainer.run()
    assert "the network is dead" in trainer.state.failures[0]
    assert trainer.state.rate_scale == pytest.approx(0.1)
    assert any("Attempt 2 of 2 begins with other initial weights" in line for line in view.lines)
