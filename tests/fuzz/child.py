"""One target under Atheris: coverage-guided, with the target's own mutations beside libFuzzer's."""

from __future__ import annotations

import hashlib
import importlib
import random
import sys
from pathlib import Path

import atheris
from fuzz.target import Memory

MEMORY_GROWTH = 400 * 1024 * 1024
MOST_MEMORY_MIB = 3000
INPUT_SECONDS = 60
INSTRUMENTED = ["squeezenet", "squeeze_predictor", "PIL", "python_multipart", "zipfile", "pickle"]


def main() -> None:
    """Usage: python -m fuzz.child TARGET FOLDER SECONDS. Ends with libFuzzer's code, 0 for nothing found."""
    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = importlib.import_module(f"fuzz.{name}").TARGET
    memory = Memory(MEMORY_GROWTH)
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()).write_bytes(seed)

    def once(data: bytes) -> None:
        target.run(data)
        memory.check()

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        return bytes(target.mutate(data, rng)[:most])

    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={folder}/",
        f"-rss_limit_mb={MOST_MEMORY_MIB}",
        f"-timeout={INPUT_SECONDS}",
        "-max_len=65536",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], once, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
