"""What each deployment strategy means in numbers. A user's own fields always win over these."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """Defaults of a strategy: quantities per replica, most replicas, CPU target in percent of the request."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]
    max_replicas: int
    target: int
    max_unavailable: int | str
    """How many replicas a node drain may take away at once."""
    streams: int
    """Pictures that a replica computes at a time on its CPUs; 0 is one for each."""


# A replica on CPUs holds 170 MB, and up to 670 MB more for the largest picture that a thread decodes; PyTorch
# with CUDA takes about 2 GB before its first picture.
GPU_MEMORY = {"requests": "2Gi", "limits": "4Gi"}

PROFILES: Mapping[str, Profile] = {
    # Headroom: a replica may burst to four times its request, and the autoscaler acts early.
    "latency": Profile(
        requests={"cpu": "500m", "memory": "256Mi"},
        limits={"cpu": "2", "memory": "2Gi"},
        max_replicas=5,
        target=70,
        max_unavailable=1,
        # One picture gets all the threads.
        streams=1,
    ),
    # Whole cores that are really there, so the threads of the engine are never throttled.
    "throughput": Profile(
        requests={"cpu": "2", "memory": "384Mi"},
        limits={"cpu": "2", "memory": "2Gi"},
        max_replicas=10,
        target=80,
        max_unavailable="25%",
        streams=0,
    ),
    # Tight packing, few replicas, scaling only when it hurts.
    "cost": Profile(
        requests={"cpu": "250m", "memory": "256Mi"},
        limits={"cpu": "1", "memory": "1536Mi"},
        max_replicas=2,
        target=85,
        max_unavailable="50%",
        streams=0,
    ),
}
