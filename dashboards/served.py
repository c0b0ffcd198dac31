"""The dashboard for whoever owns a model: its requests, its speed, its capacity, and what answers."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.panels import Query, board, figure, lines, listing, quantiles, query, variable

_CHOSEN = 'namespace=~"$namespace", model=~"$model"'
_ASKED = f'{_CHOSEN}, route=~".*(:predict|/infer|/ModelInfer)"'
"""Requests for a classification: probes and scrapes would hide a slow answer among many quick ones."""
_FAULTS = "InferenceFailed|InternalError|OutOfMemory|EngineBroken|QueueTimeout|DeadlineExceeded"
_CAPACITY = f"max by (namespace, model, pod) (squeeze_capacity_pictures_per_second{{{_CHOSEN}}})"
_INFO_COLUMNS = {
    "namespace": "Namespace",
    "model": "Model",
    "pod": "Replica",
    "engine": "Engine",
    "device": "Device",
    "precision": "Precision",
    "architecture": "Architecture",
    "digest": "Weights",
}


def served() -> dashboard.Dashboard:
    """The dashboard, ready to build."""
    made = board(
        "SqueezeServe / Models",
        "squeezeserve-models",
        "What models answer, how quickly, and how near to their capacity.",
        [
            variable("namespace", "Namespace", "label_values(squeeze_model_info, namespace)"),
            variable("model", "Model", 'label_values(squeeze_model_info{namespace=~"$namespace"}, model)'),
        ],
    )
    for part in (_overview, _requests, _stages, _capacity, _what):
        part(made)
    return made


def _rate(metric: str, labels: str = _CHOSEN) -> str:
    return f"rate({metric}{{{labels}}}[$__rate_interval])"


def _by(label: str, rate: str) -> Query:
    return query(f"sum by ({label}) ({rate})", f"{{{{{label}}}}}")


def _share(part: str, whole: str) -> str:
    """Nothing of nothing is a share of 0, not no number."""
    return f"{part} / ({whole} > 0) or vector(0)"


def _overview(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Overview"))
    asked = f"sum({_rate('squeeze_requests_total', _ASKED)})"
    slow = f"sum by (le) ({_rate('squeeze_request_seconds_bucket', _ASKED)})"
    faults = _CHOSEN + f', reason=~"{_FAULTS}"'
    for panel in (
        figure("Requests", "Requests for a classification.", asked, "reqps"),
        figure("p95", "One of twenty takes longer.", f"histogram_quantile(0.95, {slow}) >= 0", "s"),
        figure(
            "Errors",
            "Share of requests that the server failed.",
            _share(f"sum({_rate('squeeze_requests_refused_total', faults)})", asked),
            "percentunit",
            warn=0.01,
        ),
        figure(
            "Refused",
            "Share of requests refused because a queue was full.",
            _share(f"sum({_rate('squeeze_requests_rejected_total')})", asked),
            "percentunit",
            warn=0.01,
        ),
        figure(
            "Capacity used",
            "Pictures against what the replicas have measured that they can carry.",
            f"sum({_rate('squeeze_pictures_total')}) / sum({_CAPACITY})",
            "percentunit",
            warn=0.9,
        ),
        figure("Replicas", "Replicas that answer.", f"sum(squeeze_model_ready{{{_CHOSEN}}})"),
    ):
        made.with_panel(panel)


def _requests(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Requests"))
    for panel in (
        lines(
            "Requests by code",
            "HTTP status, or gRPC's by name; 499 and CANCELLED: the client had left.",
            [_by("code", _rate("squeeze_requests_total", _ASKED))],
            "reqps",
            stacked=True,
        ),
        lines(
            "Latency",
            "From a request's headers to the end of its answer.",
            quantiles("squeeze_request_seconds", _ASKED),
            "s",
        ),
        lines(
            "Refusals by reason",
            "The reason in the error's body; predictor.md lists them.",
            [_by("reason", _rate("squeeze_requests_refused_total"))],
            "reqps",
            stacked=True,
        ),
        lines(
            "Requests by model",
            "All codes.",
            [
                query(
                    f"sum by (namespace, model) ({_rate('squeeze_requests_total', _ASKED)})",
                    "{{namespace}}/{{model}}",
                )
            ],
            "reqps",
        ),
        lines(
            "Requests at this moment",
            "Begun and not yet answered; of these, waiting for a worker.",
            [
                query(f"sum(squeeze_requests_in_flight{{{_CHOSEN}}})", "in flight"),
                query(f"sum(squeeze_requests_queued{{{_CHOSEN}}})", "queued"),
            ],
        ),
        lines(
            "Refused and abandoned",
            "Refused because a queue was full; dropped because the client had left.",
            [
                query(f"sum({_rate('squeeze_requests_rejected_total')})", "refused"),
                query(f"sum({_rate('squeeze_requests_abandoned_total')})", "abandoned"),
            ],
            "reqps",
        ),
    ):
        made.with_panel(panel)


def _stages(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Where the time goes"))
    total, count = (_rate(f"squeeze_stage_seconds_{part}") for part in ("sum", "count"))
    buckets = f"sum by (stage, le) ({_rate('squeeze_stage_seconds_bucket')})"
    pictures, batches = (_rate(f"squeeze_batch_pictures_{part}") for part in ("sum", "count"))
    for panel in (
        lines(
            "Mean time of a stage",
            "queue and decode of a picture, infer of a batch, encode of an answer.",
            [query(f"sum by (stage) ({total}) / sum by (stage) ({count})", "{{stage}}")],
            "s",
            stacked=True,
        ),
        lines(
            "p95 of a stage", "As before.", [query(f"histogram_quantile(0.95, {buckets})", "{{stage}}")], "s"
        ),
        lines(
            "Pictures of a batch",
            "Pictures that are computed together, on average.",
            [query(f"sum({pictures}) / sum({batches})", "pictures")],
        ),
    ):
        made.with_panel(panel)


def _capacity(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("Capacity"))
    pictures = f"sum by (namespace, model, pod) ({_rate('squeeze_pictures_total')})"
    for panel in (
        lines(
            "Pictures and capacity",
            "What is classified, and what the replicas measured at their start that they can carry.",
            [
                query(f"sum({_rate('squeeze_pictures_total')})", "pictures"),
                query(f"sum({_CAPACITY})", "capacity"),
            ],
            "cps",
        ),
        lines(
            "Capacity used by replica",
            "At 100 % requests wait; then they are refused.",
            [query(f"{pictures} / {_CAPACITY}", "{{pod}}")],
            "percentunit",
        ),
        lines(
            "Replicas",
            "Replicas that answer, by model.",
            [
                query(
                    f"sum by (namespace, model) (squeeze_model_ready{{{_CHOSEN}}})", "{{namespace}}/{{model}}"
                )
            ],
        ),
        lines("CPU by replica", "Cores in use.", [_by("pod", _rate("process_cpu_seconds_total"))]).span(12),
        lines(
            "Memory by replica",
            "Resident memory.",
            [query(f"sum by (pod) (process_resident_memory_bytes{{{_CHOSEN}}})", "{{pod}}")],
            "bytes",
        ).span(12),
    ):
        made.with_panel(panel)


def _what(made: dashboard.Dashboard) -> None:
    made.with_row(dashboard.Row("What answers"))
    made.with_panel(
        listing(
            "Replicas",
            "Engine, device, precision and digest of the weights that each replica serves.",
            f"squeeze_model_info{{{_CHOSEN}}}",
            _INFO_COLUMNS,
        )
    )
    made.with_panel(
        lines(
            "Engines and precisions passed over",
            "Above 0 a replica runs on less than was asked for; its log and metadata say why.",
            [
                query(
                    f"max by (namespace, model) (squeeze_engines_passed_over{{{_CHOSEN}}})",
                    "{{namespace}}/{{model}}",
                )
            ],
        ).span(24)
    )
