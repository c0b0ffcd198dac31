"""What was trained is what is served: `squeezenet test` and the predictor answer alike on every picture."""

from __future__ import annotations

import json
import math
from pathlib import Path

import httpx
import numpy as np
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_process import running
from integration.trainer import groups
from integration.trainer.test_trainer_processes import MACHINE, finetune
from squeezenet import artifact as artifacts
from squeezenet.preprocess import preprocess
from unit.trainer import trees

CLASSES = 3
# Nothing about it is a default: serving has to take it from the artifact.
INPUT = ["--resize", "52", "--crop", "44", "--mean", "0.6", "0.5", "0.3", "--std", "0.3", "0.25", "0.4"]


def test_every_picture_gets_the_answer_of_the_test(tmp_path: Path) -> None:
    data = trees.tree(tmp_path / "data", CLASSES, {"train": 8, "val": 4, "test": 7})
    groups.run(tmp_path / "logs", finetune(data, tmp_path, 24, *INPUT))
    model = str(tmp_path / "model")
    command = ["test", "--model", model, "--data", str(data), "--json", *MACHINE]
    tested = json.loads(groups.run(tmp_path / "test", command).out.read_text())
    spec = artifacts.load(model).config.input
    confusion, losses = np.zeros((CLASSES, CLASSES), np.int64), []
    flags = (f"--weights={model}", "--precision=f32", "--threads=1")
    with running(tmp_path / "served", *flags, name="own") as server, server.client() as client:
        for true in range(CLASSES):
            for path in sorted((data / "test" / str(true)).iterdir()):
                picture = path.read_bytes()
                best, label, probability = inputs.raw(client, "own", picture)
                assert label == str(best)
                tensor = preprocess(picture, spec)[np.newaxis].astype("<f4")
                entry = {"name": "input", "shape": list(tensor.shape), "datatype": "FP32"}
                by_tensor = inputs.v2_answer(inputs.send_binary(client, "own", entry, tensor.tobytes()))
                assert by_tensor[:2] == (best, label)
                assert math.isclose(by_tensor[2], probability, abs_tol=0.01)
                confusion[true, best] += 1
                losses.append(-math.log(probability_of(true, client, picture)))
    assert tested["confusion"] == confusion.tolist()
    assert math.isclose(tested["loss"], np.mean(losses), abs_tol=0.01)
    assert tested["top1"] > 1 / CLASSES


def probability_of(label: int, client: httpx.Client, picture: bytes) -> float:
    """That of one class in the predictor's answer to a raw picture."""
    response = client.post(
        "/v1/models/own:predict",
        params={"top_k": CLASSES},
        content=picture,
        headers={"Content-Type": "image/png"},
    )
    (answer,) = response.json()["predictions"]
    (found,) = [one["probability"] for one in answer["top_k"] if one["class_id"] == label]
    return float(found)
