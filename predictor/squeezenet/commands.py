"""What `squeezenet classify` and `squeezenet info` do, apart from parsing their options."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from squeezenet import artifact as artifacts
from squeezenet import image_folder
from squeezenet.artifact import Artifact
from squeezenet.classify import Prediction, top_k
from squeezenet.engines import select
from squeezenet.errors import PictureError
from squeezenet.preprocess import DEFAULT_LIMITS, decode, to_pixels
from squeezenet.terminal import printable, render_picture, render_predictions

STDIN = "-"
_MAX_WIDTH, _PICTURE_WIDTH = 100, 48


def describe(artifact: Artifact) -> dict[str, Any]:
    """What there is to know about an artifact, as JSON values."""
    config = artifact.config
    return {
        "uri": artifact.uri,
        "architecture": config.architecture,
        "classes": config.num_classes,
        "labels": [*artifact.labels[:5], "…"] if len(artifact.labels) > 10 else list(artifact.labels),
        "parameters": sum(int(array.size) for array in artifact.state.values()),
        "digest": artifact.digest,
        "input": asdict(config.input),
        "metrics": dict(config.metrics),
        "provenance": dict(config.provenance),
        "quantization": asdict(config.quantization) if config.quantization else None,
    }


def classify(options: argparse.Namespace) -> int:
    """Classifies every path; a picture that fails is reported and the others go on. 1 if any failed."""
    artifact = artifacts.load(options.model, sha256=options.sha256)
    wish = select.Wish(
        options.engine, options.device, threads=options.threads, streams=1, precision=options.precision
    )
    engine = select.start(artifact, wish).engine
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    show = _Json(artifact) if options.json else _Text(colour, colour and not options.no_picture)
    failed = False
    for path in _expanded(options.paths):
        try:
            image = decode(_read(path), DEFAULT_LIMITS)
            logits = engine.classify_pixels(to_pixels(image, artifact.config.input)[None])[0]
        except PictureError as error:
            failed = True
            print(f"squeezenet: {printable(path)}: {error.reason}: {error.message}", file=sys.stderr)
            show.failure(path, error)
            continue
        show.answer(path, image, top_k(logits, artifact.labels, options.top_k))
    show.end()
    return int(failed)


def _expanded(paths: list[str]) -> Iterator[str]:
    for path in paths:
        if path != STDIN and Path(path).is_dir():
            yield from map(str, image_folder.pictures_in(Path(path)))
        else:
            yield path


def _read(path: str) -> bytes:
    # One byte above the limit is enough to see that a picture is too large.
    return (
        sys.stdin.buffer.read(DEFAULT_LIMITS.max_bytes + 1)
        if path == STDIN
        else image_folder.read(Path(path))
    )


class _Text:
    """Answers for a person: bars and a picture in a terminal, plain columns elsewhere."""

    def __init__(self, colour: bool, picture: bool) -> None:
        self._colour, self._picture = colour, picture
        self._width = min(_MAX_WIDTH, shutil.get_terminal_size().columns)

    def answer(self, path: str, image: Image.Image, predictions: list[Prediction]) -> None:
        print(printable(path))
        if self._picture:
            print(render_picture(image, min(_PICTURE_WIDTH, self._width)))
        if sys.stdout.isatty():
            print(render_predictions(predictions, self._width, colour=self._colour))
            return
        for prediction in predictions:
            print(f"{prediction.probability:8.2%}  {prediction.class_id:4d}  {printable(prediction.label)}")

    def failure(self, path: str, error: PictureError) -> None:
        """Nothing more: the error already stands on standard error."""

    def end(self) -> None:
        """Nothing is held back."""


class _Json:
    """One JSON document, printed at the end: the model, and one entry a picture in the order given."""

    def __init__(self, artifact: Artifact, write: Callable[[str], object] = print) -> None:
        self._document: dict[str, Any] = {
            "model": artifact.uri,
            "digest": artifact.digest,
            "pictures": [],
        }
        self._write = write

    def answer(self, path: str, image: Image.Image, predictions: list[Prediction]) -> None:
        entry = {
            "path": path,
            "width": image.width,
            "height": image.height,
            "predictions": [asdict(prediction) for prediction in predictions],
        }
        self._document["pictures"].append(entry)

    def failure(self, path: str, error: PictureError) -> None:
        self._document["pictures"].append(
            {"path": path, "error": {"reason": error.reason, "message": error.message}}
        )

    def end(self) -> None:
        self._write(json.dumps(self._document, ensure_ascii=False, indent=2))
