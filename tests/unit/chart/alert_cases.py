"""For each alert, series in which it fires and series in which it does not."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Firing:
    """One alert that fires: its labels but severity, and the texts that hold something of the moment."""

    labels: dict[str, str]
    texts: dict[str, str]


@dataclass(frozen=True)
class Case:
    """Series in promtool's notation, one sample a minute, and which alerts fire at a minute."""

    alert: str
    minute: int
    series: dict[str, str]
    fires: tuple[Firing, ...] = field(default=())


MODEL = {"namespace": "team", "model": "digits"}
_OPERATORS = 'namespace="squeezeserve-system", model_namespace="team", model="digits"'
"""The operator runs in a namespace of its own, which its series are labelled with."""
_TARGET = 'namespace="team", model="digits", pod="p1"'
_ASKED = f'squeeze_requests_total{{{_TARGET}, route="/v1/models/{{model_name}}:predict", code="200"}}'
_PREDICT = "/v1/models/{model_name}:predict"


def trouble(condition: str, status: str, reason: str) -> str:
    """The series of a model's condition that is not as it should be."""
    labels = f'condition="{condition}", status="{status}", reason="{reason}"'
    return f"squeeze_operator_model_trouble{{{_OPERATORS}, {labels}}}"


def firing(texts: dict[str, str] | str, **labels: str) -> tuple[Firing, ...]:
    """One alert about the model, with further labels."""
    return (Firing(MODEL | labels, {"summary": texts} if isinstance(texts, str) else texts),)


def operator(summary: str | dict[str, str] = "", **labels: str) -> tuple[Firing, ...]:
    """One alert about the operator."""
    texts = summary if isinstance(summary, dict) else {"summary": summary} if summary else {}
    return (Firing(labels, texts),)


def _latency(route: str, fast: str, all_of_them: str) -> dict[str, str]:
    values = {"0.1": fast, "0.5": all_of_them, "+Inf": all_of_them}
    labels = f'{_TARGET}, route="{route}"'
    return {f'squeeze_request_seconds_bucket{{{labels}, le="{bound}"}}': values[bound] for bound in values}


_OUTAGE = {
    trouble("Serving", "False", "NoReplicaAnswers"): "1x30",
    trouble("Ready", "False", "CrashLoop"): "1x30",
    trouble("Stalled", "True", "CrashLoop"): "1x30",
    trouble("Scaling", "False", "MetricsMissing"): "1x30",
}
_STALLED = {
    trouble("Stalled", "True", "DigestMismatch"): "1x30",
    trouble("Ready", "False", "DigestMismatch"): "1x30",
}
_OBJECTIVE = {f"squeeze_operator_model_latency_objective_seconds{{{_OPERATORS}}}": "0.25x30"}
_REJECTED = f"squeeze_requests_rejected_total{{{_TARGET}}}"
_REFUSED = f'squeeze_requests_refused_total{{{{{_TARGET}, reason="{{}}"}}}}'
_CAPACITY = {
    f'squeeze_capacity_pictures_per_second{{{_TARGET}, batch="1"}}': "10x30",
    f'squeeze_capacity_pictures_per_second{{{_TARGET}, batch="8"}}': "20x30",
}
_PICTURES = f"squeeze_pictures_total{{{_TARGET}}}"
_ERRORS = 'squeeze_operator_reconcile_errors_total{{reason="{}"}}'
_DONE = 'squeeze_operator_reconciles_total{result="succeeded"}'
_API = 'squeeze_operator_api_requests_total{{verb="get", kind="Pod", code="{}"}}'

MODELS = [
    Case(
        "SqueezeModelNotServing",
        6,
        _OUTAGE,
        firing(
            {
                "summary": "No replica of team/digits answers",
                "description": "For five minutes nobody has answered for this model. "
                "The operator's reason is CrashLoop.",
            }
        ),
    ),
    Case("SqueezeModelNotServing", 4, _OUTAGE),
    Case("SqueezeModelNotServing", 20, _STALLED),
    Case(
        "SqueezeModelStalled",
        6,
        _STALLED,
        firing("The rollout of team/digits is stalled with DigestMismatch", reason="DigestMismatch"),
    ),
    Case("SqueezeModelStalled", 20, _OUTAGE),
    Case(
        "SqueezeModelDegraded",
        21,
        {trouble("Ready", "True", "ReplicasFailing"): "1x30"},
        firing("team/digits has not been whole for 20 minutes: ReplicasFailing", reason="ReplicasFailing"),
    ),
    Case("SqueezeModelDegraded", 25, _STALLED),
    Case("SqueezeModelDegraded", 25, {trouble("Ready", "True", "RunningOnCPU"): "1x30"}),
    Case("SqueezeModelDegraded", 15, {trouble("Ready", "False", "RollingOut"): "1x30"}),
    Case(
        "SqueezeModelNotScaling",
        16,
        {trouble("Scaling", "False", "MetricsMissing"): "1x30"},
        firing(
            "The replicas of team/digits do not follow the load (MetricsMissing)", reason="MetricsMissing"
        ),
    ),
    Case("SqueezeModelNotScaling", 25, {trouble("Scaling", "False", "AtMaxReplicas"): "1x30"}),
    Case("SqueezeModelNotScaling", 25, _OUTAGE),
    Case(
        "SqueezeModelShedding",
        12,
        {_ASKED: "0+600x30", _REJECTED: "0+60x30"},
        firing("team/digits refuses 10% of its requests"),
    ),
    Case("SqueezeModelShedding", 12, {_ASKED: "0+600x30", _REJECTED: "0+3x30"}),
    Case("SqueezeModelShedding", 12, {_ASKED: "0x30", _REJECTED: "0x30"}),
    Case(
        "SqueezeModelSaturated",
        21,
        _CAPACITY | {_PICTURES: "0+1140x30"},
        firing("team/digits runs at 95% of its measured capacity"),
    ),
    Case("SqueezeModelSaturated", 25, _CAPACITY | {_PICTURES: "0+900x30"}),
    Case(
        "SqueezeModelSlow",
        16,
        _OBJECTIVE | _latency(_PREDICT, "0x30", "0+100x30"),
        firing("One of twenty requests to team/digits takes longer than 480ms"),
    ),
    Case("SqueezeModelSlow", 20, _OBJECTIVE | _latency(_PREDICT, "0+100x30", "0+100x30")),
    # Slow, and nobody has said how quick it must be.
    Case("SqueezeModelSlow", 20, _latency(_PREDICT, "0x30", "0+100x30")),
    # Slow on a page that classifies nothing.
    Case("SqueezeModelSlow", 20, _OBJECTIVE | _latency("/v2/health/ready", "0x30", "0+100x30")),
    Case(
        "SqueezeModelErrors",
        11,
        {_ASKED: "0+600x30", _REFUSED.format("InferenceFailed"): "0+30x30"},
        firing("team/digits fails 5% of its requests"),
    ),
    Case(
        "SqueezeModelErrors",
        20,
        {
            _ASKED: "0+600x30",
            _REFUSED.format("PictureInvalid"): "0+300x30",
            _REFUSED.format("QueueFull"): "0+300x30",
            _REFUSED.format("InternalError"): "0+3x30",
        },
    ),
    Case(
        "SqueezeModelEngineFallback",
        16,
        {f"squeeze_engines_passed_over{{{_TARGET}}}": "1x30"},
        firing("team/digits does not run on the engine, precision or device that it asked for"),
    ),
    Case(
        "SqueezeModelEngineFallback",
        16,
        {trouble("Ready", "True", "RunningOnCPU"): "1x30"},
        firing("team/digits does not run on the engine, precision or device that it asked for"),
    ),
    Case("SqueezeModelEngineFallback", 25, {f"squeeze_engines_passed_over{{{_TARGET}}}": "0x30"}),
]

_STUCK = {
    'squeeze_operator_training_stalled{namespace="squeezeserve-system", training_namespace="team", '
    'training="cats", reason="DataInvalid"}': "1x30"
}
_TRIES = (
    'squeeze_operator_training_failed_tries{namespace="squeezeserve-system", training_namespace="team", '
    'training="cats"}'
)
_CATS = {"namespace": "team", "training": "cats"}

TRAININGS = [
    Case(
        "SqueezeTrainingStalled",
        6,
        _STUCK,
        operator("The training team/cats does not go on (DataInvalid)", **_CATS, reason="DataInvalid"),
    ),
    Case("SqueezeTrainingStalled", 4, _STUCK),
    Case("SqueezeTrainingStalled", 20, {_TRIES: "3x30"}),
    Case(
        "SqueezeTrainingFailing",
        4,
        {_TRIES: "1 1 1 2x30"},
        operator("The training team/cats has failed 2 times and is tried again", **_CATS),
    ),
    Case("SqueezeTrainingFailing", 20, {_TRIES: "1x30"}),
    Case("SqueezeTrainingFailing", 20, _STUCK),
]

OPERATOR = [
    Case("SqueezeOperatorDown", 6, {"up": "0x30"}, operator()),
    Case("SqueezeOperatorDown", 20, {"squeeze_operator_models": "0x30"}),
    Case(
        "SqueezeOperatorBlind",
        10,
        {
            "squeeze_operator_last_audit_timestamp_seconds": "0x30",
            "squeeze_operator_audit_interval_seconds": "30x30",
        },
        operator("The SqueezeServe operator has not reached the API server for 10m 0s"),
    ),
    Case(
        "SqueezeOperatorBlind",
        10,
        {
            "squeeze_operator_last_audit_timestamp_seconds": "0+60x30",
            "squeeze_operator_audit_interval_seconds": "30x30",
        },
    ),
    Case(
        "SqueezeOperatorBlind",
        10,
        {
            "squeeze_operator_last_audit_timestamp_seconds": "0x30",
            "squeeze_operator_audit_interval_seconds": "600x30",
        },
    ),
    Case(
        "SqueezeOperatorWatchOld",
        4,
        {"squeeze_operator_watch_lag_seconds": "0 0 90 95 100x30"},
        operator("The SqueezeServe operator's watch has not delivered a change for 1m 40s"),
    ),
    Case("SqueezeOperatorWatchOld", 10, {"squeeze_operator_watch_lag_seconds": "30x30"}),
    Case(
        "SqueezeOperatorQueueGrowing",
        20,
        {"squeeze_operator_queue_length": "0 0 7x30"},
        operator({"description": "7 models or more wait for a worker; changes take effect late."}),
    ),
    Case("SqueezeOperatorQueueGrowing", 20, {"squeeze_operator_queue_length": "9 9 9 0 9 9 9 9 0 9x9 0 9x9"}),
    Case(
        "SqueezeOperatorReconcileErrors",
        21,
        {_ERRORS.format("ServerError"): "0+20x30", _DONE: "0+80x30"},
        operator(
            "25% of the SqueezeServe operator's reconciles fail with ServerError",
            reason="ServerError",
        ),
    ),
    Case(
        "SqueezeOperatorReconcileErrors",
        25,
        {_ERRORS.format("Conflict"): "0+50x30", _ERRORS.format("Throttled"): "0+5x30", _DONE: "0+80x30"},
    ),
    Case(
        "SqueezeOperatorDefect",
        6,
        {_ERRORS.format("InternalError"): "0 0 0 1x30"},
        operator(reason="InternalError"),
    ),
    Case(
        "SqueezeOperatorDefect",
        6,
        {_ERRORS.format("InternalError"): "3x30", _ERRORS.format("Refused"): "0+1x30"},
    ),
    Case(
        "SqueezeOperatorApiErrors",
        21,
        {_API.format("200"): "0+90x30", _API.format("503"): "0+10x30"},
        operator("10% of the SqueezeServe operator's requests to the API server end with 503", code="503"),
    ),
    Case("SqueezeOperatorApiErrors", 25, {_API.format("200"): "0+90x30", _API.format("409"): "0+50x30"}),
]

_REFUSED = 'squeeze_activator_refused_total{{pod="{}", cause="{}"}}'

ACTIVATOR = [
    Case(
        "SqueezeActivatorRefuses",
        10,
        {_REFUSED.format("a", "late"): "0 0 0 1x30", _REFUSED.format("b", "late"): "0x30"},
        operator("SqueezeServe's activator refuses requests for models that sleep (late)", cause="late"),
    ),
    Case(
        "SqueezeActivatorRefuses",
        10,
        {_REFUSED.format("a", "full"): "7x30", _REFUSED.format("a", "unknown"): "0+9x30"},
    ),
]
