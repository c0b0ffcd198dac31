"""The figures of one stretch under load. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from load.sampling import Sample
from load.sending import Outcome, Request
from load.truth import spells

Json = dict[str, Any]


def of_requests(requests: Sequence[Request]) -> Json:
    """Counts, and latencies in ms from when each right answer was due; None where there is none."""
    counts = Counter(request.outcome for request in requests)
    ms = [1000 * one.seconds for one in requests if one.outcome is Outcome.RIGHT]
    return {
        "requests": len(requests),
        "failed": counts[Outcome.FAILED],
        "shed": counts[Outcome.SHED],
        **{name: _percentile(ms, share) for name, share in (("p50_ms", 50), ("p99_ms", 99), ("max_ms", 100))},
        "failures": dict(
            Counter(one.why for one in requests if one.outcome is Outcome.FAILED).most_common(5)
        ),
        "failing_seconds": round(_spread([one.due for one in requests if one.outcome is Outcome.FAILED]), 1),
    }


def of_samples(samples: Sequence[Sample]) -> Json:
    """Replicas that were ready, the time they cost, and the longest that each claim was wrong."""
    read = [(sample.at, sample.said) for sample in samples if sample.said is not None]
    ready = [said.ready for _, said in read] or [0]
    times = np.array([at for at, _ in read] or [0.0])
    wrong: dict[str, float] = {}
    for spell in spells(samples):
        wrong.setdefault(spell.claim, round(spell.seconds, 1))
    return {
        "min_replicas": min(ready),
        "max_replicas": max(ready),
        "replica_seconds": round(float(np.sum(np.array(ready[:-1]) * np.diff(times))), 1),
        "status_wrong_seconds": max(wrong.values(), default=0.0),
        "status_wrong": wrong,
        "status_samples": len(read),
    }


def seconds_until(
    samples: Sequence[Sample], since: float, replicas: int, *, fewer: bool = False
) -> float | None:
    """From `since` until that many replicas (or fewer) were ready; None where they never were."""
    for sample in samples:
        if sample.said is None or sample.at < since:
            continue
        ready = sample.said.ready
        if (ready <= replicas) if fewer else (ready >= replicas):
            return round(sample.at - since, 1)
    return None


def seconds_short(samples: Sequence[Sample], replicas: int) -> float:
    """How long fewer replicas than that were ready."""
    read = [(sample.at, sample.said.ready) for sample in samples if sample.said is not None]
    return round(sum(later - at for (at, ready), (later, _) in pairwise(read) if ready < replicas), 1)


def _percentile(values: Sequence[float], share: float) -> float | None:
    return round(float(np.percentile(values, share)), 2) if values else None


def _spread(times: Sequence[float]) -> float:
    return max(times) - min(times) if times else 0.0
