"""An output that a run cannot write to: a full volume, one without the right, one that is no folder."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from squeeze_trainer import checkpoint
from squeeze_trainer.errors import OutputError
from squeeze_trainer.runs import train
from squeeze_trainer.worker.main import work
from squeezenet import artifact
from unit.trainer import training, trees

COUNTS = {"train": 8, "val": 4, "test": 4}
NETWORK = 500_000
"""Bytes: less than the weights take, and more than progress and events do."""


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses what a file would have beyond this, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_volume_that_is_full_is_told_by_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUEEZESERVE_VOLUMES", str(tmp_path))
    data = trees.tree(tmp_path / "data", classes=3, counts=COUNTS)
    message = tmp_path / "message"
    arguments = ["--output=pvc://claim/run", "--page-port=0", "finetune", "--from=builtin://digits"]
    arguments += [f"--data={data}", "--iterations=2", "--workers=0", "--device=cpu", "--out=unused"]
    with largest_file(NETWORK):
        code = work(arguments, {"SQUEEZE_TERMINATION_LOG": str(message)})
    assert code == 1
    said = message.read_text()
    assert said.startswith(f"OutputUnavailable: {tmp_path}/claim/run cannot be written: File too large")
    assert not list((tmp_path / "claim" / "run").rglob("*.partial"))


def test_a_run_goes_on_once_there_is_space(tmp_path: Path) -> None:
    data = trees.tree(tmp_path / "data", classes=3, counts=COUNTS)
    settings = training.settings(data, tmp_path / "run")
    with pytest.raises(OutputError), largest_file(NETWORK):
        train(settings)
    made = train(settings)
    assert made is not None
    assert artifact.load(str(made)).config.provenance["iterations"] == 16


def test_a_folder_that_a_waiting_model_has_had_made_is_no_model(tmp_path: Path) -> None:
    data = trees.tree(tmp_path / "data", classes=3, counts=COUNTS)
    (tmp_path / "run" / "model").mkdir(parents=True)
    assert train(training.settings(data, tmp_path / "run", epochs=1)) == tmp_path / "run" / "model"


def test_a_failed_save_keeps_the_checkpoint_before_it(tmp_path: Path) -> None:
    kept = checkpoint.save(tmp_path, 0, 1, {"a": 1})
    with pytest.raises(OSError, match="too large"), largest_file(100):
        checkpoint.save(tmp_path, 0, 2, {"a": 2})
    assert list(tmp_path.iterdir()) == [kept]
    assert checkpoint.load_newest(tmp_path, print) == {"format": checkpoint.FORMAT, "a": 1}


def test_an_output_that_is_no_folder_is_told(tmp_path: Path) -> None:
    data = trees.tree(tmp_path / "data", classes=3, counts=COUNTS)
    (tmp_path / "file").write_text("no folder")
    for place in ("run", "deeper/run"):
        with pytest.raises(OutputError, match="cannot be written: Not a directory"):
            train(training.settings(data, tmp_path / "file" / place))
