"""Which variables ask for traces."""

from __future__ import annotations

import pytest
from squeeze_predictor.errors import StartError
from squeeze_predictor.traces import asked_by, started

GENERAL, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    ("env", "variable"),
    [
        ({}, None),
        ({GENERAL: ""}, None),
        ({GENERAL: "http://x:4318"}, GENERAL),
        ({TRACES: "http://x:4318/v1/traces"}, TRACES),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x:4318"}, None),
        ({GENERAL: "http://x:4318", "OTEL_SDK_DISABLED": "true"}, None),
        ({GENERAL: "http://x:4318", "OTEL_SDK_DISABLED": "false"}, GENERAL),
        ({GENERAL: "http://x:4318", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_only_a_receiver_asks_for_traces(env: dict[str, str], variable: str | None) -> None:
    assert asked_by(env) == variable


def test_a_start_that_fails_passes_through_unchanged() -> None:
    failure = StartError("ConfigInvalid", "the port is taken")
    with pytest.raises(StartError) as caught, started({}):
        raise failure
    assert caught.value is failure
