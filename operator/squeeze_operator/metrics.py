"""The operator's Prometheus metrics. Label values come from small fixed sets, never from users."""

from prometheus_client import Counter, Gauge, Histogram

API_REQUESTS = Counter(
    "squeeze_operator_api_requests_total", "Requests to the Kubernetes API.", ["method", "code"]
)
WRITES = Counter("squeeze_operator_writes_total", "Objects written; a converged model costs none.", ["kind"])
RECONCILES = Counter("squeeze_operator_reconciles_total", "Reconciles by how they ended.", ["result"])
RECONCILE_SECONDS = Histogram(
    "squeeze_operator_reconcile_seconds",
    "Duration of a reconcile.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
QUEUE_LENGTH = Gauge("squeeze_operator_queue_length", "Models that wait for a worker.")
WATCH_EVENTS = Counter("squeeze_operator_watch_events_total", "Watch events received.", ["kind"])
LAST_WATCH_EVENT = Gauge(
    "squeeze_operator_last_watch_event_timestamp_seconds", "Unix time of the last watch event.", ["kind"]
)
WATCH_LAG = Gauge(
    "squeeze_operator_watch_lag_seconds",
    "For how long the API server has known a change that the watch has not delivered; 0 where there is none.",
)
MODELS = Gauge("squeeze_operator_models", "SqueezeModels seen in the last audit.")
