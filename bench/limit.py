"""What one core can do with no server: loops over decode, preprocess and infer, part by part and whole.

Run as a process of its own, pinned to one core. `python -m bench.limit WEIGHTS SECONDS` times everything and
prints JSON. `python -m bench.limit WEIGHTS LOOP PICTURE` times one loop again for each line of standard
input, `SECONDS` as fast as it goes or `SECONDS PER_SECOND` by the clock: a shared machine is faster at one
minute than at the next, so whoever is measured is measured beside the limit of that very minute. Answers go
to standard output, whatever a library prints there to standard error.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TextIO

import numpy as np
import orjson
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from squeezenet import artifact as artifacts
from squeezenet import classify, preprocess
from squeezenet.artifact import Artifact
from squeezenet.engines.numpy_reference import logits as reference_logits

from bench import pictures
from bench.mnn_network import mnn_module
from bench.onnx_network import onnx_session
from bench.pictures import Picture

Pixels = NDArray[np.uint8]
Decode = Callable[[bytes], Image.Image]
Infer = Callable[[Pixels], NDArray[np.float32]]
Infers = Mapping[str, Infer]


def ours(data: bytes) -> Image.Image:
    """The predictor's own decoder, with every check of the contract."""
    return preprocess.decode(data)


def pillow(data: bytes) -> Image.Image:
    """Pillow alone."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def turbojpeg(data: bytes) -> Image.Image:
    """libjpeg-turbo through simplejpeg, fastest settings of equal pixels."""
    return Image.fromarray(simplejpeg.decode_jpeg(data))


DECODERS: Mapping[str, Decode] = {"ours": ours, "Pillow": pillow, "turbojpeg": turbojpeg}


def engines(artifact: Artifact) -> dict[str, Infer]:
    """Engines on one thread."""
    from squeezenet.engines.openvino_engine import OpenVINOEngine

    return {
        "OpenVINO": OpenVINOEngine(artifact, 1, 1).classify_pixels,
        "ONNX Runtime": onnx_session(artifact),
        "MNN": mnn_module(artifact),
    }


def main(weights: str, seconds: float) -> dict[str, Any]:
    """Times each part and each whole loop, on every picture."""
    artifact = artifacts.load(weights)
    infers = engines(artifact)
    chosen = pictures.load()
    return {
        "parts_ms": {one.name: parts_ms(artifact, infers, one, seconds / 4) for one in chosen},
        "loops_per_s": {
            one.name: {name: rate(loop, seconds) for name, loop in loops(artifact, infers, one).items()}
            for one in chosen
        },
        "probability_difference": {
            name: max(difference(artifact, infer, one) for one in chosen) for name, infer in infers.items()
        },
    }


def parts_ms(artifact: Artifact, infers: Infers, picture: Picture, seconds: float) -> dict[str, float]:
    """Milliseconds of each part on its own."""
    spec = artifact.config.input
    image = ours(picture.data)
    square = preprocess.to_pixels(image, spec)[None]
    logits = infers["OpenVINO"](square)[0]
    parts: dict[str, Callable[[], object]] = {
        f"decode, {name}": partial(decode, picture.data) for name, decode in DECODERS.items()
    }
    parts["resize and crop"] = partial(preprocess.to_pixels, image, spec)
    parts |= {f"infer, {name}": partial(infer, square) for name, infer in infers.items()}
    parts["answer"] = partial(answer, artifact, logits)
    return {name: 1000 / rate(part, seconds) for name, part in parts.items()}


def loops(artifact: Artifact, infers: Infers, picture: Picture) -> dict[str, Callable[[], None]]:
    """Every whole loop from bytes to a checked answer, by the names of its decoder and its engine."""

    def whole(decode: Decode, infer: Infer) -> None:
        pixels = preprocess.to_pixels(decode(picture.data), artifact.config.input)
        body = orjson.loads(answer(artifact, infer(pixels[None])[0]))
        assert body["predictions"][0]["class_id"] == picture.class_id

    return {
        f"{decoder}, {engine}": partial(whole, decode, infer)
        for decoder, decode in DECODERS.items()
        for engine, infer in infers.items()
    }


def again(answers: TextIO, weights: str, loop: str, picture_name: str) -> None:
    """Times one loop for each line of standard input: prints pictures a second, or each picture's seconds."""
    artifact = artifacts.load(weights)
    picture = next(one for one in pictures.load() if one.name == picture_name)
    work = loops(artifact, engines(artifact), picture)[loop]
    work()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        seconds, *per_second = map(float, line.split())
        found = by_the_clock(work, seconds, *per_second) if per_second else once(work, seconds)
        print(json.dumps(found), file=answers, flush=True)


def by_the_clock(work: Callable[[], object], seconds: float, per_second: float) -> list[float]:
    """A call each 1/per_second seconds, or later where the last took longer; seconds from due to done."""
    latencies, began = [], time.perf_counter()
    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        time.sleep(max(0.0, due - time.perf_counter()))
        work()
        latencies.append(time.perf_counter() - due)
    return latencies


def difference(artifact: Artifact, infer: Infer, picture: Picture) -> float:
    """The largest difference of a probability from the NumPy reference."""
    square = preprocess.to_pixels(ours(picture.data), artifact.config.input)[None]
    expected = reference_logits(artifact.config, artifact.state, square)
    return float(np.abs(classify.softmax(infer(square)[0]) - classify.softmax(expected[0])).max())


def answer(artifact: Artifact, logits: NDArray[np.float32]) -> bytes:
    """Top-5 as the predictor's JSON."""
    top = classify.top_k(logits, artifact.labels, 5)
    rows = [{"class_id": p.class_id, "label": p.label, "probability": p.probability} for p in top]
    return orjson.dumps({"predictions": [{**rows[0], "top_k": rows}]})


def rate(work: Callable[[], object], seconds: float) -> float:
    """Calls a second: the best of three runs, since whatever else runs can only slow it down."""
    work()
    return max(once(work, seconds / 3) for _ in range(3))


def once(work: Callable[[], object], seconds: float) -> float:
    """Calls a second in that time, at least one call."""
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds or not count:
        work()
        count += 1
    return count / (time.perf_counter() - began)


def answers_only() -> TextIO:
    """Standard output for the answers alone: C libraries that print there reach standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    output = answers_only()
    if len(sys.argv) == 4:
        again(output, *sys.argv[1:])
    else:
        print(json.dumps(main(sys.argv[1], float(sys.argv[2]))), file=output)
