"""The spec of a SqueezeModel as types, with every default filled in.

The CRD has checked most of it; what is left is what CEL cannot say. Parsing is total: whatever the API server
stores gives either a `ModelSpec` or a `SpecError` with a sentence that says what to change.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from squeeze_operator.profiles import GPU_MEMORY, PROFILES, Profile
from squeeze_operator.quantity import parse_quantity

REMOTE_SCHEMES = frozenset({"pvc", "s3", "gs", "https", "hf"})
"""Schemes that KServe's storage initializer fetches; the others the predictor resolves itself."""


PRECISIONS = ("auto", "f32", "bf16", "int8")


class SpecError(ValueError):
    """The spec cannot be served as it is; the text says what to change."""


@dataclass(frozen=True)
class Weights:
    """Where the weights are, and the SHA-256 of the file in bare hexadecimal digits."""

    uri: str
    sha256: str | None = None

    @property
    def remote(self) -> bool:
        """Whether the storage initializer fetches them."""
        return self.uri.partition("://")[0] in REMOTE_SCHEMES


@dataclass(frozen=True)
class Accelerator:
    """How many GPUs a replica asks for, and under which resource name."""

    gpus: int = 0
    resource_name: str = "nvidia.com/gpu"


@dataclass(frozen=True)
class Scaling:
    """Bounds of the number of replicas; metric is cpu or none, target a percentage of the CPU request."""

    min_replicas: int
    max_replicas: int
    metric: str
    target: int


@dataclass(frozen=True)
class ModelSpec:
    """Everything that `desired` needs; resources and placement are in Kubernetes' own shape."""

    weights: Weights
    profile: Profile
    scaling: Scaling
    resources: Mapping[str, Mapping[str, str | int]]
    accelerator: Accelerator = Accelerator()
    architecture: str | None = None
    precision: str = "auto"
    placement: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None


def parse_spec(raw: Mapping[str, Any]) -> ModelSpec:
    """The typed spec; raises SpecError."""
    try:
        return _parse(raw)
    except SpecError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SpecError(
            f"the spec does not have the shape of this operator's API ({type(error).__name__}: {error}); "
            "apply the CRD that belongs to this operator version"
        ) from error


def _parse(raw: Mapping[str, Any]) -> ModelSpec:
    profile_name = raw.get("profile", "latency")
    if profile_name not in PROFILES:
        raise SpecError(f"spec.profile {profile_name!r} is unknown; use one of {', '.join(PROFILES)}")
    profile = PROFILES[profile_name]
    accelerator = _accelerator(raw.get("accelerator") or {})
    return ModelSpec(
        weights=_weights(raw["weights"]),
        profile=profile,
        scaling=_scaling(raw.get("scaling") or {}, profile),
        resources=_resources(raw.get("resources") or {}, profile, on_gpu=accelerator.gpus > 0),
        accelerator=accelerator,
        architecture=raw.get("architecture"),
        precision=_precision(raw.get("precision", "auto")),
        placement=dict(raw.get("placement") or {}),
        image=raw.get("image"),
    )


def _precision(raw: Any) -> str:
    if raw not in PRECISIONS:
        raise SpecError(f"spec.precision {raw!r} is unknown; use one of {', '.join(PRECISIONS)}")
    return str(raw)


def _weights(raw: Mapping[str, Any]) -> Weights:
    uri, digest = str(raw["uri"]), raw.get("sha256")
    if digest is None:
        return Weights(uri)
    bare = str(digest).removeprefix("sha256:")
    if not re.fullmatch("[0-9a-f]{64}", bare):
        raise SpecError("spec.weights.sha256 must be 64 lower case hexadecimal digits")
    return Weights(uri, bare)


def _scaling(raw: Mapping[str, Any], profile: Profile) -> Scaling:
    low = int(raw.get("minReplicas", 1))
    # The default upper bound follows a user's lower one, so that raising min alone is enough.
    high = int(raw.get("maxReplicas", max(low, profile.max_replicas)))
    if not 1 <= low <= high:
        raise SpecError(f"spec.scaling needs 1 <= minReplicas <= maxReplicas, not {low} and {high}")
    return Scaling(low, high, str(raw.get("metric", "cpu")), int(raw.get("target", profile.target)))


def _accelerator(raw: Mapping[str, Any]) -> Accelerator:
    return Accelerator(int(raw.get("gpus", 0)), str(raw.get("resourceName", "nvidia.com/gpu")))


def _resources(raw: Mapping[str, Any], profile: Profile, *, on_gpu: bool) -> dict[str, dict[str, str | int]]:
    requests, limits = dict(raw.get("requests") or {}), dict(raw.get("limits") or {})
    low, high = dict(profile.requests), dict(profile.limits)
    if on_gpu:
        low["memory"], high["memory"] = GPU_MEMORY["requests"], GPU_MEMORY["limits"]
    for name, value in low.items():
        limit = limits.get(name)
        requests.setdefault(name, value if limit is None else _smaller(limit, value))
    for name, value in high.items():
        limits.setdefault(name, _larger(requests[name], value))
    for name in requests.keys() & limits.keys():
        if parse_quantity(requests[name]) > parse_quantity(limits[name]):
            raise SpecError(
                f"spec.resources.requests.{name} ({requests[name]}) is above spec.resources.limits.{name} "
                f"({limits[name]}); lower the request or raise the limit"
            )
    return {"requests": requests, "limits": limits}


def _smaller(user: str | int, default: str) -> str | int:
    return user if parse_quantity(user) < parse_quantity(default) else default


def _larger(user: str | int, default: str) -> str | int:
    return user if parse_quantity(user) > parse_quantity(default) else default
