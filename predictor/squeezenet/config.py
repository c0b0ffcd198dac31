"""What an artifact's ``config.json`` says: architecture, classes, input, provenance, metrics.

Reading is strict: an unknown or missing key is an error, because a misspelt ``resize`` that silently falls
back to a default serves wrong answers. Nothing here touches weights or files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from squeezenet.errors import ConfigError

ARCHITECTURES = ("squeezenet1_0", "squeezenet1_1")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# The smallest side each network can reduce to at least one output position (torchvision's `min_size`).
MIN_INPUT = {"squeezenet1_0": 21, "squeezenet1_1": 17}
# Far above any use; keeps one tensor under 13 MB a picture.
MAX_INPUT = 1024
MAX_INTEGER = 2**31

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class InputSpec:
    """How a picture becomes the network's input.

    ``resize``: pixels of the short side after resizing (bilinear, antialiased). ``crop``: side of the centre
    square. ``mean`` and ``std``: per RGB channel, of values scaled to 0..1.
    """

    resize: int = 256
    crop: int = 227
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize <= MAX_INPUT:
            raise ConfigError(
                f"input.resize is {self.resize} and input.crop is {self.crop}: "
                f"they must satisfy 1 <= crop <= resize <= {MAX_INPUT}."
            )
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)) or min(self.std) <= 0:
            raise ConfigError("input.mean and input.std must be finite, and input.std above zero.")


@dataclass(frozen=True)
class Quantization:
    """How ``int8.safetensors`` was made, and what it costs.

    ``top1_f32`` and ``top1_int8`` are shares, 0..1, of ``test_pictures``; ``top1_changed`` is how many of
    these pictures have another best class in int8.
    """

    method: str
    version: str
    calibration_pictures: int
    test_pictures: int
    top1_f32: float
    top1_int8: float
    top1_changed: int

    def __post_init__(self) -> None:
        shares = (self.top1_f32, self.top1_int8)
        counts = (self.calibration_pictures, self.test_pictures)
        if min(counts) < 1 or not 0 <= self.top1_changed <= self.test_pictures:
            raise ConfigError("quantization counts no pictures, or more changes than test pictures.")
        if not all(0 <= share <= 1 for share in shares):
            raise ConfigError("quantization.top1_f32 and top1_int8 must be shares, 0 to 1.")

    @property
    def top1_loss(self) -> float:
        """By how much the top-1 of int8 is below that of f32; the record has six digits."""
        return round(self.top1_f32 - self.top1_int8, 6)


@dataclass(frozen=True)
class ArtifactConfig:
    """A validated ``config.json``; ``provenance`` and ``metrics`` are free JSON objects."""

    architecture: str
    num_classes: int
    input: InputSpec = field(default_factory=InputSpec)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ConfigError(
                f"architecture {self.architecture!r} is unknown: use one of {', '.join(ARCHITECTURES)}."
            )
        if self.num_classes < 1:
            raise ConfigError(f"num_classes is {self.num_classes}: it must be at least 1.")
        smallest = MIN_INPUT[self.architecture]
        if self.input.crop < smallest:
            raise ConfigError(
                f"input.crop is {self.input.crop}: {self.architecture} needs {smallest} or more."
            )


def to_json(config: ArtifactConfig) -> str:
    """The text of ``config.json``: stable key order, trailing newline."""
    document: dict[str, Any] = {
        "architecture": config.architecture,
        "num_classes": config.num_classes,
        "input": {
            "resize": config.input.resize,
            "crop": config.input.crop,
            "mean": list(config.input.mean),
            "std": list(config.input.std),
        },
        "provenance": dict(config.provenance),
        "metrics": dict(config.metrics),
    }
    if config.quantization is not None:
        document["quantization"] = asdict(config.quantization)
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str | bytes) -> ArtifactConfig:
    """Parses ``config.json``. Raises ConfigError naming the key at fault."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"config.json is not JSON ({error}): write it again or remove it.") from error
    optional = {"input", "provenance", "metrics", "quantization"}
    top = _object(document, "config.json", {"architecture", "num_classes"}, optional)
    architecture = top["architecture"]
    if not isinstance(architecture, str):
        raise ConfigError("config.json: architecture must be a string.")
    return ArtifactConfig(
        architecture=architecture,
        num_classes=_integer(top["num_classes"], "num_classes"),
        input=_input_spec(top.get("input", {})),
        provenance=_free_object(top.get("provenance", {}), "provenance"),
        metrics=_free_object(top.get("metrics", {}), "metrics"),
        quantization=_quantization(top["quantization"]) if "quantization" in top else None,
    )


def _quantization(value: Any) -> Quantization:
    keys = _object(value, "quantization", {entry.name for entry in fields(Quantization)}, set())
    for name in ("method", "version"):
        if not isinstance(keys[name], str):
            raise ConfigError(f"config.json: quantization.{name} must be a string.")
    for name in ("calibration_pictures", "test_pictures", "top1_changed"):
        _integer(keys[name], f"quantization.{name}")
    for name in ("top1_f32", "top1_int8"):
        if isinstance(keys[name], bool) or not isinstance(keys[name], (int, float)):
            raise ConfigError(f"config.json: quantization.{name} must be a number.")
    return Quantization(**keys)


def _input_spec(value: Any) -> InputSpec:
    keys = _object(value, "input", set(), {"resize", "crop", "mean", "std"})
    default = InputSpec()
    return InputSpec(
        resize=_integer(keys.get("resize", default.resize), "input.resize"),
        crop=_integer(keys.get("crop", default.crop), "input.crop"),
        mean=_triple(keys.get("mean", default.mean), "input.mean"),
        std=_triple(keys.get("std", default.std), "input.std"),
    )


def _object(value: Any, name: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    found = _free_object(value, name)
    unknown = sorted(set(found) - required - optional)
    missing = sorted(required - set(found))
    if unknown:
        allowed = ", ".join(sorted(required | optional))
        raise ConfigError(f"{name} has unknown key {unknown[0]!r}: allowed are {allowed}.")
    if missing:
        raise ConfigError(f"{name} lacks the key {missing[0]!r}: add it.")
    return found


def _free_object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{name} must be a JSON object.")
    return value


def _integer(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"config.json: {name} must be a whole number.")
    if abs(value) > MAX_INTEGER:
        raise ConfigError(f"config.json: {name} is beyond any use: correct it.")
    return value


def _triple(value: Any, name: str) -> Triple:
    numbers = value if isinstance(value, (list, tuple)) else ()
    if len(numbers) != 3 or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in numbers):
        raise ConfigError(f"config.json: {name} must be a list of three numbers (red, green, blue).")
    try:
        return (float(numbers[0]), float(numbers[1]), float(numbers[2]))
    except OverflowError as error:
        raise ConfigError(f"config.json: {name} has a number that is beyond any use: correct it.") from error
