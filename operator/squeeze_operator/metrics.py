"""The operator's Prometheus metrics.

Label values come from small fixed sets, never from users. The series of a single model or training are the
exception: they name it, and go when it goes (`modelstates`, `training.census`).
"""

from prometheus_client import Counter, Gauge, Histogram

API_REQUESTS = Counter(
    "squeeze_operator_api_requests_total",
    "Requests to the Kubernetes API, watches apart; code 0: no answer.",
    ["verb", "kind", "code"],
)
API_SECONDS = Histogram(
    "squeeze_operator_api_request_seconds",
    "Duration of a request to the Kubernetes API.",
    ["verb", "kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
WRITES = Counter("squeeze_operator_writes_total", "Objects written; a converged model costs none.", ["kind"])
RECONCILES = Counter("squeeze_operator_reconciles_total", "Reconciles by how they ended.", ["result"])
for _result in ("succeeded", "failed"):
    RECONCILES.labels(_result)
RECONCILE_ERRORS = Counter(
    "squeeze_operator_reconcile_errors_total",
    "Reconciles that failed, by what stopped them; each is tried again with back-off.",
    ["reason"],
)
RECONCILE_SECONDS = Histogram(
    "squeeze_operator_reconcile_seconds",
    "Duration of a reconcile.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
QUEUE_LENGTH = Gauge("squeeze_operator_queue_length", "Models that wait for a worker.")
QUEUE_SECONDS = Histogram(
    "squeeze_operator_queue_seconds",
    "For how long a model waited for a worker.",
    buckets=(0.001, 0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
RETRYING = Gauge("squeeze_operator_models_retrying", "Models whose last reconcile failed.")
WATCH_EVENTS = Counter("squeeze_operator_watch_events_total", "Watch events received.", ["kind"])
LAST_WATCH_EVENT = Gauge(
    "squeeze_operator_last_watch_event_timestamp_seconds", "Unix time of the last watch event.", ["kind"]
)
WATCH_LAG = Gauge(
    "squeeze_operator_watch_lag_seconds",
    "For how long the API server has known a change that the watch has not delivered; 0 where there is none.",
)
LAST_AUDIT = Gauge(
    "squeeze_operator_last_audit_timestamp_seconds",
    "Unix time at which the API server last listed the models.",
)
AUDIT_INTERVAL = Gauge(
    "squeeze_operator_audit_interval_seconds", "Seconds between two audits, as the operator was told."
)
MODELS = Gauge("squeeze_operator_models", "SqueezeModels seen in the last audit.")
MODELS_BY_CONDITION = Gauge(
    "squeeze_operator_models_by_condition",
    "SqueezeModels by the status of a condition.",
    ["condition", "status"],
)
MODEL_TROUBLE = Gauge(
    "squeeze_operator_model_trouble",
    "1 for each condition of a model that is not as it should be; a model that is well has none.",
    ["model_namespace", "model", "condition", "status", "reason"],
)
MODEL_OBJECTIVE = Gauge(
    "squeeze_operator_model_latency_objective_seconds",
    "The 95th percentile that a model with metric latency is to keep.",
    ["model_namespace", "model"],
)
TRAININGS = Gauge(
    "squeeze_operator_trainings", "SqueezeTrainings by state, seen in the last audit.", ["state"]
)
TRAINING_STALLED = Gauge(
    "squeeze_operator_training_stalled",
    "1 for each training that does not go on, with its reason, as of the last audit.",
    ["training_namespace", "training", "reason"],
)
TRAINING_FAILED_TRIES = Gauge(
    "squeeze_operator_training_failed_tries",
    "How many tries have failed of a training that is being tried again, as of the last audit.",
    ["training_namespace", "training"],
)
