"""Other weights on a volume: the digits network with its last bias moved by a hair, so another digest."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

import numpy as np
from e2e.models import Namespace
from e2e.storage import NODES, claim_with_file
from squeezenet import artifact

BUILTIN = "builtin://digits"
BIAS = "classifier.1.bias"
CLAIM = "weights"


def place(namespace: Namespace) -> str:
    """Puts `moved` and `broken` on a claim that both workers can mount; the digest of `moved`."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "artifacts"
        digest = artifact.load(artifact.save(_moved(), folder / "moved")).digest
        shutil.copytree(folder / "moved", folder / "broken")
        (folder / "broken" / "model.safetensors").write_bytes(b"no weights" * 1000)
        claim_with_file(namespace.name, CLAIM, folder, NODES)
    return digest


def uri(name: str) -> str:
    """Where a replica finds an artifact of the claim."""
    return f"pvc://{CLAIM}/artifacts/{name}"


def _moved() -> artifact.Artifact:
    digits = artifact.load(BUILTIN)
    state = {
        name: value + np.float32(1e-4) if name == BIAS else value for name, value in digits.state.items()
    }
    # The quantized weights belong to the unmoved ones.
    config = dataclasses.replace(digits.config, quantization=None)
    return dataclasses.replace(digits, state=state, config=config, golden=None, int8=None)
