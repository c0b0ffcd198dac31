"""The unit this platform serves: weights + configuration + labels, loaded whole or not at all.

On disk an artifact is a folder: ``model.safetensors`` (torchvision's key names), ``config.json``,
``labels.txt``, ``golden.safetensors``, with which engines prove themselves, and, where it was quantized,
``int8.safetensors``. ``load`` also takes less: a bare weights file, whose architecture and class count are
then read from its tensors. A sha256 is checked before the file is parsed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as safetensors_bytes

from squeezenet import architecture as architectures
from squeezenet import checkpoint, config, golden, labels, quantization, sources
from squeezenet.config import ArtifactConfig
from squeezenet.errors import ConfigError, DigestMismatchError, WeightsError, WeightsNotFoundError
from squeezenet.golden import Golden
from squeezenet.quantization import Quantized

# 100 times SqueezeNet's size; a bigger file is something else, and would only fill the memory.
MAX_WEIGHTS_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Artifact:
    """A checked network: every tensor present, of the right shape, float32 and finite.

    ``digest`` is ``sha256:<64 hex>`` of the weights file; ``uri`` is where it came from; ``golden`` and
    ``int8`` are None where it came without.
    """

    config: ArtifactConfig
    labels: tuple[str, ...]
    state: Mapping[str, NDArray[np.float32]]
    digest: str
    uri: str = ""
    golden: Golden | None = None
    int8: Quantized | None = None

    def __post_init__(self) -> None:
        architectures.check_tensors(self.state, self.config.architecture, self.config.num_classes)
        labels.check_count(self.labels, self.config.num_classes)


def load(
    uri: str | Path,
    *,
    sha256: str | None = None,
    architecture: str | None = None,
    labels: Sequence[str] | None = None,
    cache: Path | None = None,
) -> Artifact:
    """Loads ``builtin://digits``, ``torchvision://squeezenet1_0``, a folder or a file (path or ``file://``).

    ``sha256``: expected digest of the weights file, with or without ``sha256:``. ``architecture``: refuse any
    other. ``labels``: in place of the artifact's. ``cache``: where torchvision's download goes.
    Raises a subclass of WeightsError or ConfigError, naming the cause and what to do.
    """
    expected = _normalised(sha256)
    source = sources.locate(str(uri), cache)
    data = _read(source.weights, source.uri, MAX_WEIGHTS_BYTES)
    digest = hashlib.sha256(data).hexdigest()
    _check_digest(source, digest, expected)
    state = checkpoint.read_state(data, source.weights.name)
    written = _config(source, state, architecture)
    return Artifact(
        config=written,
        labels=_labels(source, labels, written.num_classes),
        state=state,
        digest=f"sha256:{digest}",
        uri=source.uri,
        golden=_golden(source, written),
        int8=_int8(source, written, state),
    )


def save(artifact: Artifact, folder: str | Path, dtype: Literal["float32", "float16"] = "float32") -> Path:
    """Writes the artifact folder and returns it; the weights appear last, complete, under their name."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with np.errstate(over="ignore"):
        state = {name: np.ascontiguousarray(array.astype(dtype)) for name, array in artifact.state.items()}
    if not all(np.isfinite(array).all() for array in state.values()):
        raise WeightsError(f"the weights do not fit into {dtype}: save them as float32.")
    _write(target / sources.CONFIG_NAME, config.to_json(artifact.config).encode())
    _write(target / sources.LABELS_NAME, ("\n".join(artifact.labels) + "\n").encode())
    # Of the weights as they are saved, which may be rounded.
    saved = {name: array.astype(np.float32) for name, array in state.items()}
    _write(target / sources.GOLDEN_NAME, golden.to_bytes(golden.make(artifact.config, saved)))
    # One that is there belongs to other weights.
    (target / sources.INT8_NAME).unlink(missing_ok=True)
    if artifact.int8 is not None:
        write_quantization(artifact, target)
    # One key, because safetensors writes several in any order, and equal weights must have an equal digest.
    _write(target / sources.WEIGHTS_NAME, safetensors_bytes(state, {"format": "pt"}))
    return target


def write_quantization(artifact: Artifact, folder: Path) -> None:
    """Adds ``int8.safetensors`` and the record of it in ``config.json`` to a folder with this artifact.

    Raises ValueError for an artifact without int8 weights.
    """
    if artifact.int8 is None:
        raise ValueError("the artifact has no int8 weights")
    _write(folder / sources.INT8_NAME, quantization.to_bytes(artifact.int8))
    _write(folder / sources.CONFIG_NAME, config.to_json(artifact.config).encode())


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)


def _normalised(sha256: str | None) -> str | None:
    if sha256 is None or not sha256.strip():
        return None
    digits = sha256.strip().lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ConfigError(
            "the sha256 is not 64 hexadecimal digits: copy what `sha256sum` prints for the weights."
        )
    return digits


def _read(path: Path, uri: str, limit: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > limit:
            raise WeightsError(
                f"{uri}: {path.name} has {size} bytes, more than {limit}; SqueezeNet has about 5 million."
            )
        return path.read_bytes()
    except OSError as error:
        raise WeightsNotFoundError(f"{uri}: {path.name} cannot be read: check its permissions.") from error


def _check_digest(source: sources.Source, digest: str, expected: str | None) -> None:
    if expected is not None and digest != expected:
        raise DigestMismatchError(
            f"{source.uri}: the weights' sha256 is {digest}, not {expected}: correct the sha256, or find out "
            "who changed the file."
        )
    if source.architecture is not None and not digest.startswith(sources.hash_prefix(source.weights)):
        raise DigestMismatchError(
            f"{source.uri}: the copy {source.weights} is damaged or not PyTorch's: delete it, "
            "and it is downloaded again."
        )


def _config(
    source: sources.Source, state: Mapping[str, NDArray[np.float32]], architecture: str | None
) -> ArtifactConfig:
    """config.json checked against the tensors, or, without one, what the tensors say."""
    found, num_classes = architectures.identify(state)
    if architecture is not None and architecture not in config.ARCHITECTURES:
        raise ConfigError(
            f"architecture {architecture!r} is unknown: use {' or '.join(config.ARCHITECTURES)}."
        )
    if architecture is not None and architecture != found:
        raise ConfigError(
            f"{source.uri} holds {found}, and {architecture} was asked for: correct one of the two."
        )
    if source.config is None:
        return ArtifactConfig(found, num_classes, provenance={"source": source.uri})
    written = config.from_json(_read(source.config, source.uri, 1024 * 1024))
    if (written.architecture, written.num_classes) != (found, num_classes):
        raise ConfigError(
            f"{source.uri}: config.json says {written.architecture} with {written.num_classes} classes, and "
            f"the weights are {found} with {num_classes}: they do not belong together."
        )
    return written


def _golden(source: sources.Source, written: ArtifactConfig) -> Golden | None:
    if source.golden is None:
        return None
    return golden.from_bytes(_read(source.golden, source.uri, golden.MAX_BYTES), written)


def _int8(
    source: sources.Source, written: ArtifactConfig, state: Mapping[str, NDArray[np.float32]]
) -> Quantized | None:
    if (source.int8 is None) != (written.quantization is None):
        raise WeightsError(
            f"{source.uri}: {sources.INT8_NAME} and config.json's quantization belong together, and one "
            "of them is missing: quantize the model again."
        )
    if source.int8 is None:
        return None
    architectures.check_tensors(state, written.architecture, written.num_classes)
    data = _read(source.int8, source.uri, quantization.MAX_BYTES)
    return quantization.from_bytes(data, written, state)


def _labels(source: sources.Source, given: Sequence[str] | None, num_classes: int) -> tuple[str, ...]:
    if given is not None:
        return tuple(given)
    if source.labels is not None:
        return labels.parse(_read(source.labels, source.uri, labels.MAX_LABELS_BYTES))
    return labels.default_labels(num_classes)
