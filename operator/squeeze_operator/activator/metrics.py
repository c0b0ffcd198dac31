"""The activator's Prometheus metrics; no label names a model, since it holds for all of them together."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

# Its own: modules that it shares with the operator define that one's metrics, and alerts would take the
# activator for an operator that does nothing.
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

HELD = Gauge("squeeze_activator_held_requests", "Requests that wait for a replica.", registry=REGISTRY)
HELD_BYTES = Gauge(
    "squeeze_activator_held_bytes", "Bytes of bodies being held or handed on.", registry=REGISTRY
)
HANDED_ON = Counter(
    "squeeze_activator_handed_on_total",
    "Requests that a replica has begun to answer, by its code.",
    ["code"],
    registry=REGISTRY,
)
REFUSED = Counter(
    "squeeze_activator_refused_total",
    "Requests that no replica answered, by cause.",
    ["cause"],
    registry=REGISTRY,
)
for _cause in ("full", "large", "late", "lost", "slow", "unknown"):
    REFUSED.labels(_cause)
WAIT_SECONDS = Histogram(
    "squeeze_activator_wait_seconds",
    "For how long a request waited for a replica.",
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60),
    registry=REGISTRY,
)
