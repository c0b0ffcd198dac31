"""Whole runs: what they leave behind, and that it answers in serving as it was tested."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from squeeze_trainer import runs
from squeeze_trainer.errors import DataError
from squeeze_trainer.settings import DataSettings, TestSettings
from squeezenet import artifact as artifacts
from squeezenet import preprocess
from squeezenet.classify import softmax
from squeezenet.cli import main
from squeezenet.config import InputSpec
from squeezenet.engines import select
from tensorboardX.proto.event_pb2 import Event
from unit.trainer import training, trees

ODD = InputSpec(resize=52, crop=44, mean=(0.6, 0.5, 0.3), std=(0.3, 0.25, 0.4))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trees.tree(tmp_path_factory.mktemp("data"), classes=3, counts={"train": 8, "val": 4, "test": 7})


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, with an input of another size, mean and std than usual."""
    folder = tmp_path_factory.mktemp("out")
    assert runs.train(training.settings(data, folder, input=ODD, epochs=6)) == folder / "model"
    return folder


def measured(out: Path, data: Path, **options: Any) -> runs.Tested:
    settings = TestSettings(str(out / "model"), DataSettings(str(data), workers=0), device="cpu", threads=1)
    found = runs.test(replace(settings, **options))
    assert found is not None
    return found


def test_the_artifact_says_how_it_was_made_and_how_good_it_is(out: Path, data: Path) -> None:
    artifact = artifacts.load(out / "model")
    made, measured = artifact.config.provenance, artifact.config.metrics
    assert artifact.labels == ("0", "1", "2")
    assert artifact.config.input == ODD
    assert made["trained_by"] == "squeezenet finetune"
    assert made["initial"] == {
        "weights": training.DIGITS,
        "digest": artifacts.load(training.DIGITS).digest,
        "classifier_kept": False,
    }
    assert made["data"]["pictures"] == {"train": 24, "validation": 12, "test": 21}
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", made["data"]["fingerprint"])
    assert made["recipe"]["optimizer"] == "adam"
    assert made["iterations"] == 24
    assert 0 < made["best_iteration"] <= 24
    assert measured["test"]["pictures"] == 21
    assert [entry["label"] for entry in measured["test"]["classes"]] == ["0", "1", "2"]
    assert {"top1", "top5", "loss", "ece"} <= set(measured["test"])
    assert measured["validation"]["top1"] >= 0.75
    assert data.name in made["data"]["uri"]


def test_recorded_metrics_are_what_a_test_of_the_artifact_gives(out: Path, data: Path) -> None:
    recorded = artifacts.load(out / "model").config.metrics["test"]
    assert measured(out, data).evaluation.measures.as_json(("0", "1", "2")) == recorded


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_serving_answers_every_picture_as_the_test_did(out: Path, data: Path, engine: Any) -> None:
    """One preprocessing for both: the confusion is the same, and each probability within a hundredth."""
    artifact = artifacts.load(out / "model")
    served = select.start(artifact, select.Wish(engine, "cpu")).engine
    found = measured(out, data)
    confusion = np.zeros((3, 3), np.int64)
    losses = []
    for number in range(3):
        for path in sorted((data / "test" / str(number)).iterdir()):
            image = preprocess.decode(path.read_bytes())
            pixels = preprocess.to_pixels(image, artifact.config.input)[None]
            tensor = preprocess.preprocess(path.read_bytes(), artifact.config.input)[None]
            raw, by_tensor = softmax(served.classify_pixels(pixels)), softmax(served.classify_tensors(tensor))
            np.testing.assert_allclose(raw, by_tensor, atol=0.01)
            confusion[number, raw.argmax()] += 1
            losses.append(-np.log(raw[0, number]))
    np.testing.assert_array_equal(found.evaluation.counts.confusion, confusion)
    assert found.evaluation.measures.loss == pytest.approx(np.mean(losses), abs=0.01)


def test_the_report_is_one_file_with_curves_confusion_and_classes(out: Path) -> None:
    page = (out / "report" / "index.html").read_text()
    assert page.count('src="data:image/png;base64,') == 3
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]+", "", page)
    for text in ("test top-1", "Confusion on the test split", "calibration error", "recipe.learning_rate"):
        assert text in page
    assert (out / "report" / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_labels_cannot_write_html_into_the_report(data: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("<script>alert(1)</script>\n$x$\nthree\n")
    run = training.settings(data, tmp_path / "out", epochs=3)
    runs.train(replace(run, data=replace(run.data, labels=labels)))
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_event_files_hold_the_curves(out: Path) -> None:
    found = {
        (value.tag, event.step)
        for path in (out / "events").iterdir()
        for event in events(path.read_bytes())
        for value in event.summary.value
    }
    assert {("train/loss", step) for step in range(1, 25)} <= found
    assert {("validation/top1", step) for step in range(4, 25, 4)} <= found


def events(data: bytes) -> Iterator[Event]:
    """The records of an event file: length, checksum, content, checksum."""
    while data:
        length = int.from_bytes(data[:8], "little")
        yield Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def test_running_again_trains_nothing_and_gives_the_same_artifact(out: Path, data: Path) -> None:
    before = artifacts.load(out / "model")
    runs.train(training.settings(data, out, input=ODD, epochs=6))
    after = artifacts.load(out / "model")
    assert (after.digest, after.config) == (before.digest, before.config)


def test_the_classifier_is_kept_where_the_classes_are_the_same(tmp_path: Path) -> None:
    trees.tree(tmp_path / "data", classes=10, counts={"train": 3, "val": 2, "test": 2})
    run = training.settings(tmp_path / "data", tmp_path / "out", epochs=1, learning_rate=1e-9)
    runs.train(run)
    artifact = artifacts.load(tmp_path / "out" / "model")
    assert artifact.config.provenance["initial"]["classifier_kept"] is True
    assert artifact.config.metrics["test"]["top1"] >= 0.9
    before = artifacts.load(training.DIGITS).state["classifier.1.weight"]
    np.testing.assert_allclose(artifact.state["classifier.1.weight"], before, atol=1e-6)


def test_damaged_pictures_are_skipped_named_and_recorded_up_to_a_limit(tmp_path: Path) -> None:
    trees.tree(tmp_path / "data", classes=3, counts={"train": 8, "val": 4, "test": 4})
    broken = [tmp_path / "data" / "train" / "0" / f"{index:03}.png" for index in (0, 1)]
    for path in broken:
        path.write_bytes(path.read_bytes()[:80])
    run = training.settings(tmp_path / "data", tmp_path / "out", epochs=3)
    with pytest.raises(
        DataError, match=r"more than 1 of 24 training pictures .*train/0/00\d\.png.*--max-corrupt"
    ):
        runs.train(run)
    runs.train(replace(run, data=replace(run.data, max_corrupt=0.1), fresh=True))
    recorded = artifacts.load(tmp_path / "out" / "model").config.provenance["data"]
    assert recorded["damaged_pictures"] == ["train/0/000.png", "train/0/001.png"]
    assert "train/0/001.png" in (tmp_path / "out" / "report" / "index.html").read_text()


def test_files_that_are_no_pictures_end_the_run_before_it_begins(tmp_path: Path) -> None:
    trees.tree(tmp_path / "data")
    for path in (tmp_path / "data" / "val" / "0").iterdir():
        path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="4 of 8 pictures cannot be read"):
        runs.train(training.settings(tmp_path / "data", tmp_path / "out"))
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_the_command_tests_a_folder_of_classes(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    common = ["test", "--model", training.DIGITS, "--workers", "0", "--device", "cpu", "--threads", "1"]
    assert main([*common, "--data", str(data / "test"), "--split", "all", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pictures"] == 21
    assert document["top1"] >= 0.9
    assert len(document["confusion"]) == 10
    assert document["classes"][9] == {"label": "9", "precision": None, "recall": None, "pictures": 0}
    assert main([*common, "--data", str(data)]) == 0
    shown = capsys.readouterr().out
    assert "21 pictures" in shown
    assert "no samples  9" in shown
    trees.folder(tmp_path / "cat", 1, 0, 2)
    assert main([*common, "--data", str(tmp_path), "--split", "all"]) == 2
    assert "does not know (cat)" in capsys.readouterr().err
