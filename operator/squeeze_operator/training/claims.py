"""What the access modes of mounted claims allow: workers on many nodes, on one node, or one pod alone.

The scheduler does not look at ReadWriteOnce: on a second node the volume is not attached, and the worker
waits there for ever. So what the modes forbid is kept from happening here.
"""

from collections.abc import Mapping
from typing import Any

from squeeze_operator.podfaults import Fault
from squeeze_operator.training.reasons import TrainingReason
from squeeze_operator.training.spec import TrainingSpec

_MANY_NODES = frozenset({"ReadWriteMany", "ReadOnlyMany"})

Json = Mapping[str, Any]


def claim_fault(spec: TrainingSpec, claims: Mapping[str, Json]) -> Fault | None:
    """What keeps the workers from mounting what the spec names; ``claims``: those that are there, by name."""
    for name in spec.claims:
        if name not in claims:
            return Fault(
                TrainingReason.VOLUME_UNAVAILABLE,
                f"There is no PersistentVolumeClaim {name} in this namespace: create it, or correct the "
                f"pvc:// URI that names it",
            )
        if spec.workers > 1 and _modes(claims[name]) == {"ReadWriteOncePod"}:
            return Fault(
                TrainingReason.VOLUME_UNAVAILABLE,
                f"PersistentVolumeClaim {name} is ReadWriteOncePod, so that one pod may mount it, and there "
                f"are to be {spec.workers} workers: set spec.workers to 1, or use a claim that is "
                "ReadWriteMany or ReadWriteOnce",
            )
    return None


def on_one_node(spec: TrainingSpec, claims: Mapping[str, Json]) -> bool:
    """Whether the workers must share a node, because a claim of theirs can be on one node only."""
    return spec.workers > 1 and any(
        not _modes(claim) & _MANY_NODES for name, claim in claims.items() if name in spec.claims
    )


def _modes(claim: Json) -> set[str]:
    """Those of the bound volume, which are what counts; before that those that are asked for."""
    return set((claim.get("status") or {}).get("accessModes") or claim["spec"].get("accessModes") or ())
