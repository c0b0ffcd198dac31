"""What each precision costs and gains: `python -m bench.precision [WEIGHTS]` prints a table, on one thread.

It has a row for each instruction set that this CPU has and oneDNN can be held to, and each precision that it
computes itself. The digits network is measured on its own test split of held-out digits; ImageNet weights
on crops of five pictures of scikit-image (see `bench.pictures.crops`), calibrated on other crops of the same
five. Changes are against f32 on the same instruction set.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from squeezenet import artifact as artifacts
from squeezenet import classify, quantize
from squeezenet.artifact import Artifact
from squeezenet.engines.base import Precision
from squeezenet.engines.openvino_engine import OpenVINOEngine
from squeezenet.image_folder import LabelledPicture
from squeezenet.preprocess import decode, to_pixels

from bench import pictures, processes
from bench.limit import rate
from bench.plan import OUT, find_weights

SECONDS = 3.0
CROPS = 40
# oneDNN's name, the CPU flag that it needs, and whether it computes bfloat16.
INSTRUCTION_SETS = (
    ("AVX2", "avx2", False),
    ("AVX2_VNNI", "avx_vnni", False),
    ("AVX512_CORE", "avx512f", False),
    ("AVX512_CORE_VNNI", "avx512_vnni", False),
    ("AVX512_CORE_BF16", "avx512_bf16", True),
    ("AVX512_CORE_AMX", "amx_tile", True),
)
HEAD = (
    "| network | instruction set | precision | ms a picture | top-1 | largest change | top-1 changed |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)
Json = dict[str, Any]


def main(weights: str) -> str:
    """Measures both networks on every instruction set and returns the table."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    rows = [HEAD]
    with tempfile.TemporaryDirectory() as scratch:
        imagenet = Path(scratch) / "imagenet"
        splits = quantize.Splits(pictures.crops(CROPS, seed=0), pictures.crops(CROPS, seed=1))
        model = artifacts.load(weights)
        quantize.quantize(
            model, splits, imagenet, len(splits.calibration), 0, lambda line: print(line, file=sys.stderr)
        )
        for network in ("builtin://digits", str(imagenet)):
            for name, flag, bf16 in INSTRUCTION_SETS:
                if flag in flags:
                    rows += [row(Path(network).name, name, found) for found in measured(network, name, bf16)]
    return "\n".join(rows)


def measured(network: str, instruction_set: str, bf16: bool) -> list[Json]:
    """`measure` in a process that oneDNN holds to an instruction set, which it reads once."""
    command = [sys.executable, "-m", "bench.precision", network, "bf16" if bf16 else "f32"]
    variables = processes.variables({**processes.threads(1), "ONEDNN_MAX_CPU_ISA": instruction_set})
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    found: list[Json] = json.loads(done.stdout)
    return found


def measure(network: str, bf16: bool) -> list[Json]:
    """Every precision of one network in this process, f32 first."""
    artifact = artifacts.load(network)
    test = test_split(artifact)
    squares = np.stack([to_pixels(decode(one.read()), artifact.config.input) for one in test])
    true = np.array([one.class_id for one in test])
    wanted: tuple[Precision, ...] = ("f32", "bf16", "int8") if bf16 else ("f32", "int8")
    before: NDArray[np.float64] | None = None
    rows = []
    for precision in wanted:
        engine = OpenVINOEngine(artifact, 1, 1, precision)
        found = classify.softmax(engine.classify_pixels(squares))
        before = found if before is None else before
        rows.append(
            {
                "precision": precision,
                "ms": 1000 / rate(partial(engine.classify_pixels, squares[:1]), SECONDS),
                "top1": float((found.argmax(axis=1) == true).mean()),
                "pictures": len(test),
                "change": float(np.abs(found - before).max()),
                "changed": int((found.argmax(axis=1) != before.argmax(axis=1)).sum()),
            }
        )
    return rows


def test_split(artifact: Artifact) -> list[LabelledPicture]:
    """The digits' own test split, or crops of the labelled pictures."""
    if artifact.config.num_classes == 10:
        return quantize.splits_of(artifact, None, None).test
    return pictures.crops(CROPS, seed=1)


def row(network: str, instruction_set: str, found: Json) -> str:
    """One line of the table."""
    return (
        f"| {network} | {instruction_set} | {found['precision']} | {found['ms']:.2f} | "
        f"{found['top1']:.4f} of {found['pictures']} | {found['change']:.3f} | {found['changed']} |"
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], sys.argv[2] == "bf16")))
    else:
        table = main(sys.argv[1] if len(sys.argv) == 2 else find_weights())
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "precision.md").write_text(table + "\n")
        print(table)
