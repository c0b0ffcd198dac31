"""What each deployment strategy means in numbers. A user's own fields always win over these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Policy(NamedTuple):
    """A bound on the speed of scaling: `value` Pods or Percent within `period` seconds."""

    type: str
    value: int
    period: int


@dataclass(frozen=True)
class Speed:
    """How fast the autoscaler goes in one direction: it looks back `window` seconds, and obeys."""

    window: int
    policies: tuple[Policy, ...]

    def as_json(self) -> dict[str, Any]:
        """HPAScalingRules of autoscaling/v2."""
        return {
            "stabilizationWindowSeconds": self.window,
            "selectPolicy": "Max",
            "policies": [
                {"type": policy.type, "value": policy.value, "periodSeconds": policy.period}
                for policy in self.policies
            ],
        }


@dataclass(frozen=True)
class Profile:
    """Defaults of a strategy: quantities per replica, replicas, CPU target in percent of the request."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]
    min_replicas: int
    max_replicas: int
    target: int
    scale_up: Speed
    scale_down: Speed
    spread: str
    """Where replicas go: over `nodes`, to a `pack` of other replicas, or `none`: as the scheduler likes."""
    max_unavailable: int | str
    """How many replicas a node drain may take away at once."""
    streams: int
    """Pictures that a replica computes at a time on its CPUs; 0 is one for each."""
    batch_size: int
    """Most pictures computed together on a CPU; 0 is the fastest number, measured at the start."""
    gpu_batch_size: int
    """The same on a GPU."""
    queue_size: int
    """Pictures that may wait in a replica; one more is answered with 503."""


# A replica on CPUs holds 170 MB, and up to 670 MB more for the largest picture that a thread decodes; PyTorch
# with CUDA takes about 2 GB before its first picture.
GPU_MEMORY = {"requests": "2Gi", "limits": "4Gi"}

PROFILES: Mapping[str, Profile] = {
    # Headroom: a replica may burst to four times its request, the autoscaler acts early and at once, and one
    # node that fails takes one replica of two.
    "latency": Profile(
        requests={"cpu": "500m", "memory": "256Mi"},
        limits={"cpu": "2", "memory": "2Gi"},
        min_replicas=2,
        max_replicas=5,
        target=70,
        scale_up=Speed(0, (Policy("Percent", 100, 15), Policy("Pods", 4, 15))),
        scale_down=Speed(300, (Policy("Pods", 1, 60),)),
        spread="nodes",
        max_unavailable=1,
        # One picture gets all the threads, and on a GPU it never waits for many others beside it.
        streams=1,
        batch_size=1,
        gpu_batch_size=8,
        queue_size=64,
    ),
    # Whole cores that are really there, so the threads of the engine are never throttled, and a long queue,
    # so that an engine always finds a full batch.
    "throughput": Profile(
        requests={"cpu": "2", "memory": "384Mi"},
        limits={"cpu": "2", "memory": "2Gi"},
        min_replicas=1,
        max_replicas=10,
        target=80,
        scale_up=Speed(30, (Policy("Percent", 100, 30),)),
        scale_down=Speed(120, (Policy("Percent", 50, 60),)),
        spread="none",
        max_unavailable="25%",
        streams=0,
        batch_size=0,
        gpu_batch_size=0,
        queue_size=256,
    ),
    # Tight packing, few replicas, scaling only when it hurts; a slow way down pays for no start twice.
    "cost": Profile(
        requests={"cpu": "250m", "memory": "256Mi"},
        limits={"cpu": "1", "memory": "1536Mi"},
        min_replicas=1,
        max_replicas=2,
        target=85,
        scale_up=Speed(120, (Policy("Pods", 1, 60),)),
        scale_down=Speed(600, (Policy("Pods", 1, 120),)),
        spread="pack",
        max_unavailable="50%",
        streams=0,
        batch_size=0,
        gpu_batch_size=0,
        queue_size=64,
    ),
}
