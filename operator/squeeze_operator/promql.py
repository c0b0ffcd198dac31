"""What KEDA asks Prometheus about the replicas of a model. Pure: a model and a window in, PromQL out.

Prometheus must know the replicas by the labels `namespace` and `model`. Both queries give one number, an
average or a quantile over the replicas that it sees, so that one that it misses makes the number no smaller.
Where it sees none, or not for long enough to know a rate, they give nothing, and nothing is changed.
"""

from squeeze_operator.names import Key

_PREDICTIONS = ".*:predict|.*/infer|.*/ModelInfer"
"""Routes that classify; health pages would make every quantile look good."""


def utilization(model: Key, window: str) -> str:
    """Pictures asked for, in percent of the capacity that each replica measured at its start; the average.

    A replica that has had requests waiting through the whole window counts as full, whatever it measured: the
    node may give it less CPU than it had then.
    """
    asked = " + ".join(
        f"rate({_series(metric, model)}[{window}])"
        for metric in ("squeeze_pictures_total", "squeeze_requests_rejected_total")
    )
    measured = f"max without (batch) ({_series('squeeze_capacity_pictures_per_second', model)})"
    share = f"({asked}) / {measured}"
    full = f"(min_over_time({_series('squeeze_requests_queued', model)}[{window}]) > bool 0)"
    return f"100 * avg(({full} > {share}) or {share})"


def latency(model: Key, window: str) -> str:
    """Milliseconds within which 95 % of the predictions were answered; 0 where nobody asked for any."""
    buckets = _series("squeeze_request_seconds_bucket", model, f'route=~"{_PREDICTIONS}"')
    quantile = f"histogram_quantile(0.95, sum by (le) (rate({buckets}[{window}])))"
    # A quantile of no requests is no number; where replicas are seen, that is a 0.
    seen = f"sum(rate({_series('squeeze_pictures_total', model)}[{window}]))"
    return f"(1000 * {quantile} > 0) or 0 * {seen}"


def _series(metric: str, model: Key, *matchers: str) -> str:
    inside = ", ".join([f'namespace="{model.namespace}"', f'model="{model.name}"', *matchers])
    return f"{metric}{{{inside}}}"
