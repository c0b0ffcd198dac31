"""The dashboard for whoever runs the platform: the operator and all models at once."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.panels import board, figure, lines, listing, quantiles, query

_OURS = "and on (instance, job) squeeze_operator_models"
_BAD = (
    'squeeze_operator_models_by_condition{condition=~"Ready|Serving|UpToDate|Scaling", status="False"}',
    'squeeze_operator_models_by_condition{condition=~"Stalled|Reconciling", status="True"}',
)
_TROUBLE_COLUMNS = {
    "model_namespace": "Namespace",
    "model": "Model",
    "condition": "Condition",
    "status": "Status",
    "reason": "Reason",
}


def platform() -> dashboard.Dashboard:
    """The dashboard, ready to build."""
    made = board("SqueezeServe / Platform", "squeezeserve-platform", "The operator and all models.", [])
    for part in (_models, _sleep, _work, _api, _process):
        part(made)
    return made


def _models(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Models"))
    count = 'sum(squeeze_operator_models_by_condition{{condition="{}", status="{}"}})'
    made.with_panel(figure("Models", "SqueezeModels in the cluster.", "sum(squeeze_operator_models)"))
    for title, text, condition, status in (
        ("Not serving", "Models of which no replica answers.", "Serving", "False"),
        ("Stalled", "Models that wait for somebody to change something.", "Stalled", "True"),
    ):
        made.with_panel(figure(title, text, count.format(condition, status), warn=1))
    made.with_panel(
        figure(
            "Trying again",
            "Models whose last reconcile failed.",
            "sum(squeeze_operator_models_retrying)",
            warn=1,
        )
    )
    made.with_panel(
        figure(
            "Queue",
            "Models that wait for a worker of the operator.",
            "sum(squeeze_operator_queue_length)",
            warn=10,
        )
    )
    made.with_panel(
        figure(
            "Watch lag",
            "For how long a change has been known that the watch has not delivered.",
            "max(squeeze_operator_watch_lag_seconds)",
            "s",
            warn=60,
        )
    )
    made.with_panel(
        lines(
            "Models by what is wrong",
            "How many models have a condition that is not as it should be.",
            [query(f"sum by (condition, status) ({part})", "{{condition}} {{status}}") for part in _BAD],
        ).span(24)
    )
    made.with_panel(
        listing(
            "Models in trouble",
            "Each condition that is not as it should be, with its reason; operations.md says what to do.",
            "squeeze_operator_model_trouble",
            _TROUBLE_COLUMNS,
        )
    )


def _sleep(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Models that sleep"))
    made.with_panel(
        lines(
            "Requests held",
            "At the activator, until a replica of their model is ready.",
            [query("sum(squeeze_activator_held_requests)", "held")],
        )
    )
    handed_on = "sum by (code) (rate(squeeze_activator_handed_on_total[$__rate_interval]))"
    refused = "sum by (cause) (rate(squeeze_activator_refused_total[$__rate_interval]))"
    made.with_panel(
        lines(
            "Answers through the activator",
            "Replicas' by code, and its own refusals by cause; operations.md says what to do.",
            [query(handed_on, "{{code}}"), query(refused, "refused: {{cause}}")],
            "reqps",
            stacked=True,
        )
    )
    made.with_panel(
        lines(
            "Wait for a replica",
            "Of requests to models that sleep: about as long as a replica takes to start.",
            quantiles("squeeze_activator_wait_seconds"),
            "s",
        )
    )


def _work(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("The operator's work"))
    made.with_panel(
        lines(
            "Reconciles",
            "Looks at a model, by how they ended.",
            [
                query(
                    "sum by (result) (rate(squeeze_operator_reconciles_total[$__rate_interval]))",
                    "{{result}}",
                )
            ],
            "ops",
        )
    )
    made.with_panel(
        lines(
            "Duration of a reconcile",
            "From a worker's start to the status written.",
            quantiles("squeeze_operator_reconcile_seconds"),
            "s",
        )
    )
    made.with_panel(
        lines(
            "Failed reconciles",
            "By what stopped them; each is tried again. Conflicts are harmless.",
            [
                query(
                    "sum by (reason) (rate(squeeze_operator_reconcile_errors_total[$__rate_interval]))",
                    "{{reason}}",
                )
            ],
            "ops",
            stacked=True,
        )
    )
    made.with_panel(
        lines(
            "Wait for a worker",
            "From a change to its reconcile.",
            quantiles("squeeze_operator_queue_seconds"),
            "s",
        )
    )
    made.with_panel(
        lines(
            "Objects written",
            "By kind; a converged model costs none.",
            [query("sum by (kind) (rate(squeeze_operator_writes_total[$__rate_interval]))", "{{kind}}")],
            "ops",
            stacked=True,
        )
    )
    made.with_panel(
        lines(
            "Watch events",
            "Changes that the API server has told, by kind.",
            [
                query(
                    "sum by (kind) (rate(squeeze_operator_watch_events_total[$__rate_interval]))", "{{kind}}"
                )
            ],
            "ops",
            stacked=True,
        )
    )


def _api(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("The Kubernetes API"))
    rate = "sum by ({}) (rate(squeeze_operator_api_requests_total[$__rate_interval]))"
    made.with_panel(
        lines(
            "Requests",
            "By verb and kind, watches apart.",
            [query(rate.format("verb, kind"), "{{verb}} {{kind}}")],
            "reqps",
            stacked=True,
        )
    )
    made.with_panel(
        lines("Answers", "By HTTP status; 0 is no answer.", [query(rate.format("code"), "{{code}}")], "reqps")
    )
    duration = "sum by (verb, le) (rate(squeeze_operator_api_request_seconds_bucket[$__rate_interval]))"
    made.with_panel(
        lines(
            "Duration of a request",
            "The 95th percentile by verb.",
            [query(f"histogram_quantile(0.95, {duration})", "{{verb}}")],
            "s",
        )
    )
    made.with_panel(
        lines(
            "Age of the last watch event",
            "By kind. A quiet cluster has old events; the watch lag tells a broken watch.",
            [
                query(
                    "time() - max by (kind) (squeeze_operator_last_watch_event_timestamp_seconds)", "{{kind}}"
                )
            ],
            "s",
        ).span(12)
    )
    made.with_panel(
        lines(
            "Age of the last audit",
            "Since when the API server has not listed the models; every 30 seconds in peace.",
            [query("time() - max(squeeze_operator_last_audit_timestamp_seconds)", "last audit")],
            "s",
        ).span(12)
    )


def _process(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("The operator's process"))
    made.with_panel(
        lines(
            "CPU",
            "Cores that the operator uses.",
            [query(f"rate(process_cpu_seconds_total[$__rate_interval]) {_OURS}", "{{instance}}")],
        ).span(12)
    )
    made.with_panel(
        lines(
            "Memory",
            "Resident memory of the operator.",
            [query(f"process_resident_memory_bytes {_OURS}", "{{instance}}")],
            "bytes",
        ).span(12)
    )
