"""`squeezenet quantize`: an artifact with int8 weights beside its own, and what they cost on a test split."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from squeezenet import artifact as artifacts
from squeezenet import golden, image_folder, nncf_quantizer, quantization, sources
from squeezenet.artifact import Artifact
from squeezenet.config import InputSpec, Quantization
from squeezenet.digits.data import LABELS, Subset, render, split_seed, to_png
from squeezenet.digits.data import load as load_digits
from squeezenet.engines.openvino_engine import OpenVINOEngine
from squeezenet.errors import ConfigError, PictureError
from squeezenet.image_folder import LabelledPicture
from squeezenet.preprocess import decode, to_pixels
from squeezenet.terminal import printable

_EVERY = 100
Report = Callable[[str], None]


@dataclass(frozen=True)
class Splits:
    """Labelled pictures to calibrate on, and others to measure on."""

    calibration: list[LabelledPicture]
    test: list[LabelledPicture]


def quantize(
    artifact: Artifact, splits: Splits, folder: Path, pictures: int, seed: int, report: Report
) -> Quantization:
    """Writes the artifact with int8 weights to a new folder and returns the record.

    Raises ConfigError where the folder is there already, a split holds no readable picture, or NNCF is not
    installed; EngineError where the int8 engine does not give what its weights say.
    """
    if folder.exists():
        raise ConfigError(f"{folder} is there already: name a new folder, nothing is overwritten.")
    nncf_quantizer.import_nncf()
    chosen = image_folder.evenly(splits.calibration, seed)
    calibration = list(islice(_decoded(chosen, artifact.config.input, report), pictures))
    if not calibration:
        raise ConfigError("none of the calibration pictures can be read.")
    report(f"calibrating on {len(calibration)} pictures")
    found = nncf_quantizer.quantize(artifact, [pixels for _, pixels in calibration])
    quantized = replace(artifact, int8=quantization.make(artifact.config, found))
    record = _measure(quantized, splits.test, len(calibration), report)
    _save(replace(quantized, config=replace(artifact.config, quantization=record)), folder)
    report(summary(record))
    return record


def summary(record: Quantization) -> str:
    """The record for a person, and whether int8 may answer."""
    why = quantization.refusal(record)
    return (
        f"top-1 on {record.test_pictures} test pictures: f32 {record.top1_f32:.2%}, int8 "
        f"{record.top1_int8:.2%}; {record.top1_changed} answers changed"
        + (f"\nint8 will be passed over: {why}" if why else "")
    )


def splits_of(artifact: Artifact, calibrate: Path | None, test: Path | None) -> Splits:
    """The splits in these folders; for a network of the handwritten digits those it was trained beside.

    Raises ConfigError where a folder is missing or does not fit the labels.
    """
    if calibrate and test:
        if calibrate.resolve() == test.resolve():
            raise ConfigError("--calibrate and --test are the same pictures: measure on others.")
        return Splits(image_folder.load(calibrate, artifact.labels), image_folder.load(test, artifact.labels))

    if artifact.labels != LABELS:
        raise ConfigError(
            "--calibrate and --test are needed: only the digits come with pictures of their own."
        )
    digits = load_digits(split_seed(artifact.config))
    return Splits(
        image_folder.load(calibrate, artifact.labels) if calibrate else _digits(digits.train, "train"),
        image_folder.load(test, artifact.labels) if test else _digits(digits.test, "test"),
    )


def _digits(subset: Subset, name: str) -> list[LabelledPicture]:
    return [
        LabelledPicture(f"{name} digit {index}", int(digit), partial(to_png, render(cells)))
        for index, (cells, digit) in enumerate(zip(subset.cells, subset.classes, strict=True))
    ]


def _decoded(
    pictures: Iterable[LabelledPicture], spec: InputSpec, report: Report
) -> Iterator[tuple[LabelledPicture, NDArray[np.uint8]]]:
    """The pictures that can be read, as squares; the others are named and counted."""
    unreadable = 0
    for picture in pictures:
        try:
            yield picture, to_pixels(decode(picture.read()), spec)
        except PictureError as error:
            unreadable += 1
            report(f"unreadable, {unreadable} so far: {printable(picture.name)}: {error.message}")


def _measure(
    artifact: Artifact, pictures: list[LabelledPicture], calibrated_on: int, report: Report
) -> Quantization:
    threads = len(os.sched_getaffinity(0))
    f32 = OpenVINOEngine(artifact, threads, 1, "f32")
    int8 = OpenVINOEngine(artifact, threads, 1, "int8")
    assert artifact.int8 is not None
    golden.prove(int8, artifact.int8.golden)
    answers = []
    for picture, pixels in _decoded(pictures, artifact.config.input, report):
        best = [int(engine.classify_pixels(pixels[None])[0].argmax()) for engine in (f32, int8)]
        answers.append((picture.class_id, *best))
        if len(answers) % _EVERY == 0:
            report(f"measured {len(answers)} of {len(pictures)}")
    if not answers:
        raise ConfigError("none of the test pictures can be read.")
    true, before, after = np.array(answers).T
    return Quantization(
        method=nncf_quantizer.METHOD,
        version=importlib.metadata.version("nncf"),
        calibration_pictures=calibrated_on,
        test_pictures=len(answers),
        top1_f32=round(float((before == true).mean()), 6),
        top1_int8=round(float((after == true).mean()), 6),
        top1_changed=int((before != after).sum()),
    )


def _save(artifact: Artifact, folder: Path) -> None:
    """Copies the source and adds the quantization; the folder appears complete, and only if it loads."""
    source = sources.locate(artifact.uri)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        partial_folder = Path(scratch) / folder.name
        if source.folder is not None:
            shutil.copytree(source.folder, partial_folder)
        else:
            partial_folder.mkdir()
            shutil.copy(source.weights, partial_folder)
        artifacts.write_quantization(artifact, partial_folder)
        artifacts.load(partial_folder, sha256=artifact.digest)
        partial_folder.rename(folder)
