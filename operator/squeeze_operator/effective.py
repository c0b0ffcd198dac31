"""The values in force, for the status: what the profile gives and what the user's own fields make of it."""

from typing import Any

from squeeze_operator.spec import ModelSpec


def effective(spec: ModelSpec) -> dict[str, Any]:
    """status.effective of a spec; amounts are texts, as in a pod."""
    scaling, batching = spec.scaling, spec.batching
    return {
        "profile": spec.profile,
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.min_replicas if scaling.metric == "none" else scaling.max_replicas,
        "metric": scaling.metric,
        **({} if scaling.metric == "none" else _autoscaling(spec)),
        "resources": {
            kind: {name: str(amount) for name, amount in amounts.items()}
            for kind, amounts in spec.resources.items()
        },
        "gpus": spec.accelerator.gpus,
        "spread": spec.spread,
        "maxUnavailable": spec.max_unavailable,
        "streams": batching.streams,
        "batchSize": batching.batch_size,
        "queueSize": batching.queue_size,
        "allowDowntime": spec.allow_downtime,
    }


def _autoscaling(spec: ModelSpec) -> dict[str, Any]:
    behavior = {way: dict(rules) for way, rules in spec.scaling.behavior.items()}
    return {"target": spec.scaling.target, "behavior": behavior}
