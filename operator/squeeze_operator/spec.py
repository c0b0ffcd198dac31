"""The spec of a SqueezeModel as types, with every default filled in.

The CRD has checked most of it; what is left is what CEL cannot say. Parsing is total: whatever the API server
stores gives either a `ModelSpec` or a `SpecError` with a sentence that says what to change.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from squeeze_operator.profiles import GPU_MEMORY, PROFILES, Profile
from squeeze_operator.quantity import parse_quantity

T = TypeVar("T")

REMOTE_SCHEMES = frozenset({"pvc", "s3", "gs", "https", "hf"})
"""Schemes that KServe's storage initializer fetches; the others the predictor resolves itself."""
KEDA_METRICS = frozenset({"utilization", "latency"})
"""Metrics of spec.scaling that come from Prometheus by way of KEDA."""


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
        return self._scheme in REMOTE_SCHEMES

    @property
    def downloaded(self) -> bool:
        """Whether a replica's start needs the network: neither in its image nor on a volume."""
        return self._scheme not in {"builtin", "pvc"}

    @property
    def shown(self) -> str:
        """The URI as it may be told: a model from before the API refused secrets may hold some."""
        return re.sub(r"(://)[^/]*@", r"\1", self.uri).partition("?")[0]

    @property
    def _scheme(self) -> str:
        return self.uri.partition("://")[0]


@dataclass(frozen=True)
class Accelerator:
    """How many GPUs a replica asks for, and under which resource name."""

    gpus: int = 0
    resource_name: str = "nvidia.com/gpu"


@dataclass(frozen=True)
class Scaling:
    """Bounds of the number of replicas, and what it follows.

    metric is cpu, none, utilization or latency; target is a percentage (of the CPU request where metric is
    cpu), or milliseconds where metric is latency; behavior is that of autoscaling/v2, with both directions.
    """

    min_replicas: int
    max_replicas: int
    metric: str
    target: int
    behavior: Mapping[str, Mapping[str, Any]]

    @property
    def may_sleep(self) -> bool:
        """Whether no replica at all runs where nobody asks."""
        return self.min_replicas == 0


@dataclass(frozen=True)
class Batching:
    """How a replica computes pictures: the predictor's flags of the same names."""

    streams: int
    batch_size: int
    queue_size: int


@dataclass(frozen=True)
class ModelSpec:
    """Everything that `desired` needs; resources and placement are in Kubernetes' own shape."""

    weights: Weights
    profile: str
    scaling: Scaling
    batching: Batching
    resources: Mapping[str, Mapping[str, str | int]]
    spread: str
    """nodes, pack or none."""
    max_unavailable: int | str
    """Of the PodDisruptionBudget."""
    allow_downtime: bool
    """Whether an old replica may end before its successor starts, where no GPU is free for both."""
    accelerator: Accelerator = Accelerator()
    architecture: str | None = None
    precision: str = "auto"
    placement: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None


def parse_spec(raw: Mapping[str, Any]) -> ModelSpec:
    """The typed spec; raises SpecError."""
    return shaped(_parse, raw)


def shaped(parse: Callable[[Mapping[str, Any]], T], raw: Mapping[str, Any]) -> T:
    """What `parse` makes of a stored spec; raises SpecError, also where another CRD let a shape through."""
    try:
        return parse(raw)
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
    accelerator = parse_accelerator(raw.get("accelerator") or {})
    on_gpu = accelerator.gpus > 0
    placement = dict(raw.get("placement") or {})
    spec = ModelSpec(
        weights=parse_weights(raw["weights"]),
        profile=profile_name,
        scaling=_scaling(raw.get("scaling") or {}, profile),
        batching=_batching(raw.get("batching") or {}, profile, on_gpu=on_gpu),
        resources=_resources(raw.get("resources") or {}, profile, on_gpu=on_gpu),
        accelerator=accelerator,
        spread=str(placement.pop("spread", profile.spread)),
        max_unavailable=(raw.get("disruption") or {}).get("maxUnavailable", profile.max_unavailable),
        allow_downtime=bool((raw.get("rollout") or {}).get("allowDowntime", False)),
        architecture=raw.get("architecture"),
        precision=_precision(raw.get("precision", "auto")),
        placement=placement,
        image=raw.get("image"),
    )
    _check(spec)
    return spec


def _check(spec: ModelSpec) -> None:
    """What two fields say of each other; raises SpecError."""
    if spec.scaling.may_sleep and spec.scaling.metric not in KEDA_METRICS:
        raise SpecError(
            "spec.scaling.minReplicas is 0, and only with metric utilization or latency does KEDA wake a "
            "model again: set spec.scaling.metric to one of them, or minReplicas to 1"
        )
    if spec.scaling.metric == "cpu" and not parse_quantity(spec.resources["requests"]["cpu"]):
        raise SpecError(
            "spec.resources.requests.cpu is 0, and scaling by cpu is measured against it: request some CPU, "
            "or set spec.scaling.metric to none"
        )


def _precision(raw: Any) -> str:
    if raw not in PRECISIONS:
        raise SpecError(f"spec.precision {raw!r} is unknown; use one of {', '.join(PRECISIONS)}")
    return str(raw)


def parse_weights(raw: Mapping[str, Any]) -> Weights:
    uri, digest = str(raw["uri"]), raw.get("sha256")
    if digest is None:
        return Weights(uri)
    bare = str(digest).removeprefix("sha256:")
    if not re.fullmatch("[0-9a-f]{64}", bare):
        raise SpecError("spec.weights.sha256 must be 64 lower case hexadecimal digits")
    return Weights(uri, bare)


def _scaling(raw: Mapping[str, Any], profile: Profile) -> Scaling:
    low = int(raw.get("minReplicas", min(profile.min_replicas, raw.get("maxReplicas", profile.min_replicas))))
    # The default upper bound follows a user's lower one, so that raising min alone is enough.
    high = int(raw.get("maxReplicas", max(low, profile.max_replicas)))
    if not 0 <= low <= high or high < 1:
        raise SpecError(
            f"spec.scaling needs 0 <= minReplicas <= maxReplicas and maxReplicas >= 1, not {low} and {high}"
        )
    metric, target = str(raw.get("metric", "cpu")), int(raw.get("target", profile.target))
    if target < 1:
        raise SpecError(f"spec.scaling.target must be at least 1, not {target}")
    behavior = raw.get("behavior") or {}
    speeds = {"scaleUp": profile.scale_up, "scaleDown": profile.scale_down}
    merged = {way: speed.as_json() | dict(behavior.get(way) or {}) for way, speed in speeds.items()}
    return Scaling(low, high, metric, target, merged)


def _batching(raw: Mapping[str, Any], profile: Profile, *, on_gpu: bool) -> Batching:
    batch_size = profile.gpu_batch_size if on_gpu else profile.batch_size
    return Batching(
        streams=int(raw.get("streams", profile.streams)),
        batch_size=int(raw.get("batchSize", batch_size)),
        queue_size=int(raw.get("queueSize", profile.queue_size)),
    )


def parse_accelerator(raw: Mapping[str, Any]) -> Accelerator:
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
