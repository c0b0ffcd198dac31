"""The predictor with every metric switched off: the difference from the predictor as it is, is their cost."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from squeeze_predictor import __main__ as predictor
from squeeze_predictor import metrics


def switch_off() -> None:
    """Makes every update of a metric, and the timing of stages, do nothing."""

    def nothing(*_: Any, **__: Any) -> None:
        return None

    def itself(metric: Any, *_: Any, **__: Any) -> Any:
        return metric

    replaced: list[tuple[Any, str, Any]] = [
        (Counter, "inc", nothing),
        *((Gauge, update, nothing) for update in ("inc", "dec", "set")),
        (Histogram, "observe", nothing),
        (MetricWrapperBase, "labels", itself),
        (metrics, "stage", lambda _: nullcontext()),
    ]
    for owner, name, instead in replaced:
        setattr(owner, name, instead)


if __name__ == "__main__":
    switch_off()
    predictor.main(sys.argv[1:])
