"""The spec of a SqueezeTraining as types, with every default filled in.

The CRD has checked most of it; what is left is what CEL cannot say. Parsing is total: whatever the API server
stores gives either a `TrainingSpec` or a `SpecError` with a sentence that says what to change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from squeeze_operator.quantity import parse_quantity
from squeeze_operator.spec import Accelerator, SpecError, Weights, parse_accelerator, parse_weights, shaped

MODES = ("train", "finetune")
REQUESTS: Mapping[str, str] = {"cpu": "500m", "memory": "1Gi"}
LIMITS: Mapping[str, str] = {"cpu": "2", "memory": "4Gi"}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
GRACE_SECONDS = 60
"""What a worker has to write a checkpoint once it is told to stop."""

# Every field that becomes an option of the training program, in the order in which they are passed.
FLAGS: Mapping[str, Mapping[str, str]] = {
    "dataset": {
        "validationShare": "validation-share",
        "testShare": "test-share",
        "splitSeed": "split-seed",
        "maxCorrupt": "max-corrupt",
        "loaders": "workers",
    },
    "input": {"resize": "resize", "crop": "crop"},
    "optimizer": {
        "name": "optimizer",
        "learningRate": "learning-rate",
        "schedule": "schedule",
        "warmup": "warmup",
        "momentum": "momentum",
        "weightDecay": "weight-decay",
        "batch": "batch",
        "labelSmoothing": "label-smoothing",
        "dropout": "dropout",
        "clipNorm": "clip-norm",
        "frozen": "frozen",
    },
    "augmentation": {"smallestCrop": "smallest-crop", "rotation": "rotation", "flip": "flip"},
    "budget": {"iterations": "iterations", "epochs": "epochs"},
    "validation": {"every": "validate-every", "patience": "patience"},
}


@dataclass(frozen=True)
class TrainingSpec:
    """Everything that `desired` needs; resources and placement are in Kubernetes' own shape.

    `options` are those of the training program that the spec sets, without `--` and in order.
    """

    mode: str
    dataset: str
    output: str
    options: Mapping[str, str | int | float]
    resources: Mapping[str, Mapping[str, str | int]]
    workers: int = 1
    retries: int = 3
    suspend: bool = False
    allow_empty: bool = False
    ttl_seconds: int | None = None
    architecture: str | None = None
    weights: Weights | None = None
    accelerator: Accelerator = field(default_factory=Accelerator)
    secret: str | None = None
    fs_group: int = 65532
    placement: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None

    @property
    def claims(self) -> tuple[str, ...]:
        """The PersistentVolumeClaims that the URIs name, each once."""
        uris = (self.output, self.dataset, self.weights.uri if self.weights else "")
        return tuple(dict.fromkeys(urlsplit(uri).netloc for uri in uris if uri.startswith("pvc://")))

    @property
    def remote(self) -> bool:
        """Whether data, weights or output are elsewhere: neither in the image nor on a volume."""
        uris = (self.output, self.dataset, self.weights.uri if self.weights else "")
        return any(urlsplit(uri).scheme not in {"", "builtin", "pvc"} for uri in uris)

    @property
    def threads(self) -> int:
        """CPU threads of a worker: the whole cores of its limit, at least one."""
        return max(1, int(parse_quantity(self.resources["limits"]["cpu"])))


def parse_training(raw: Mapping[str, Any]) -> TrainingSpec:
    """The typed spec; raises SpecError."""
    return shaped(_parse, raw)


def _parse(raw: Mapping[str, Any]) -> TrainingSpec:
    mode = str(raw["mode"])
    if mode not in MODES:
        raise SpecError(f"spec.mode {mode!r} is unknown; use one of {', '.join(MODES)}")
    output = raw["output"]
    return TrainingSpec(
        mode=mode,
        dataset=str(raw["dataset"]["uri"]),
        output=str(output["uri"]),
        options=_options(raw),
        resources=_resources(raw.get("resources") or {}),
        workers=int(raw.get("workers", 1)),
        retries=int(raw.get("retries", 3)),
        suspend=bool(raw.get("suspend", False)),
        allow_empty=bool(raw["dataset"].get("allowEmpty", False)),
        ttl_seconds=raw.get("ttlSecondsAfterFinished"),
        architecture=raw.get("architecture"),
        weights=parse_weights(raw["weights"]) if raw.get("weights") else None,
        accelerator=parse_accelerator(raw.get("accelerator") or {}),
        secret=output.get("secretName"),
        fs_group=int(output.get("fsGroup", 65532)),
        placement=_placement(raw.get("placement") or {}),
        image=raw.get("image"),
    )


def _placement(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The CRD leaves the shape of an affinity to the API server; what is added to must be a list."""
    terms = ((raw.get("affinity") or {}).get("podAffinity") or {}).get(REQUIRED) or []
    if not isinstance(terms, list):
        raise SpecError(f"spec.placement.affinity.podAffinity.{REQUIRED} must be a list")
    return dict(raw)


def _options(raw: Mapping[str, Any]) -> dict[str, str | int | float]:
    options: dict[str, str | int | float] = {"seed": raw["seed"]} if "seed" in raw else {}
    for section, flags in FLAGS.items():
        given = raw.get(section) or {}
        options |= {flag: given[name] for name, flag in flags.items() if name in given}
    return options


def _resources(raw: Mapping[str, Any]) -> dict[str, dict[str, str | int]]:
    requests, limits = dict(raw.get("requests") or {}), dict(raw.get("limits") or {})
    for name, value in REQUESTS.items():
        limit = limits.get(name)
        small = limit is not None and parse_quantity(limit) < parse_quantity(value)
        requests.setdefault(name, limit if small else value)
    for name, value in LIMITS.items():
        large = parse_quantity(requests[name]) > parse_quantity(value)
        limits.setdefault(name, requests[name] if large else value)
    for name in requests.keys() & limits.keys():
        if parse_quantity(requests[name]) > parse_quantity(limits[name]):
            raise SpecError(
                f"spec.resources.requests.{name} ({requests[name]}) is above spec.resources.limits.{name} "
                f"({limits[name]}); lower the request or raise the limit"
            )
    return {"requests": requests, "limits": limits}
