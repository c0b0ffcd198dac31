"""The metrics of a server that has answered nothing yet."""

from prometheus_client import REGISTRY
from squeeze_predictor import metrics
from squeeze_predictor.openapi.refusals import REASONS


def test_every_failure_of_the_server_is_known_before_the_first() -> None:
    """A rate sees no step from nothing to one."""
    for code, reasons in REASONS.items():
        for reason in reasons:
            value = REGISTRY.get_sample_value("squeeze_requests_refused_total", {"reason": reason})
            assert value is not None or code < 500, (metrics.__name__, reason)
