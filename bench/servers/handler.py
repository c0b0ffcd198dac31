"""The handler that every other server gets: torchvision's documented pipeline around the engine under test.

BENCH_ENGINE=torch is PyTorch as its documentation shows (eager, float32); openvino is this project's engine
behind the same preprocessing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from squeezenet import artifact as artifacts
from torchvision import transforms
from torchvision.models import squeezenet1_0


class Handler:
    """JPEG bytes to a JSON-ready answer with the five best classes."""

    def __init__(self) -> None:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        artifact = artifacts.load(os.environ["BENCH_WEIGHTS"])
        self._labels = artifact.labels
        self._transform = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(227),
                transforms.ToTensor(),
                transforms.Normalize(artifact.config.input.mean, artifact.config.input.std),
            ]
        )
        if os.environ["BENCH_ENGINE"] == "openvino":
            from squeezenet.engines.openvino_engine import OpenVINOEngine

            self._engine = OpenVINOEngine(artifact, int(os.environ["OMP_NUM_THREADS"]))
            self._infer = self._openvino
        else:
            self._network = squeezenet1_0(num_classes=artifact.config.num_classes).eval()
            self._network.load_state_dict({k: torch.tensor(v) for k, v in artifact.state.items()})
            self._infer = self._torch

    def __call__(self, jpeg: bytes) -> dict[str, Any]:
        return self.batch([jpeg])[0]

    def batch(self, jpegs: Sequence[bytes]) -> list[dict[str, Any]]:
        """An answer for each picture, all computed at once."""
        batch = torch.stack([self._transform(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in jpegs])
        best = torch.softmax(self._infer(batch), 1).topk(5)
        return [self._answer(*row) for row in zip(best.values.tolist(), best.indices.tolist(), strict=True)]

    def _answer(self, probabilities: list[float], classes: list[int]) -> dict[str, Any]:
        rows = [
            {"class_id": c, "label": self._labels[c], "probability": p}
            for p, c in zip(probabilities, classes, strict=True)
        ]
        return {"predictions": [{**rows[0], "top_k": rows}]}

    def _torch(self, batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self._network(batch)
            return logits

    def _openvino(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._engine.classify_tensors(np.asarray(batch)))
