"""Whether requests are traced: only where OpenTelemetry's own variables name a receiver.

Its packages are an extra (`tracing`), and are imported only then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from squeeze_predictor.errors import StartError
from squeeze_predictor.observing import Observer

# https://opentelemetry.io/docs/specs/otel/protocol/exporter
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def asked_by(env: Mapping[str, str]) -> str | None:
    """The variable that asks for traces; None where none does, or another one forbids it."""
    disabled = env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or env.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return None
    return next((name for name in ENDPOINTS if env.get(name, "").strip()), None)


@contextmanager
def started(env: Mapping[str, str]) -> Iterator[list[Observer]]:
    """The observer that traces, where that is asked for; at the end its last spans are sent.

    Raises StartError where the packages are not installed.
    """
    variable = asked_by(env)
    if variable is None:
        yield []
        return
    try:
        from squeeze_predictor.tracing import Tracing
    except ImportError as error:
        raise StartError(
            "ConfigInvalid",
            f"{variable} is set, and {error.name} is not installed: install squeezeserve[tracing], "
            "or unset the variable",
        ) from error
    tracing = Tracing()
    try:
        yield [tracing]
    finally:
        tracing.close()
