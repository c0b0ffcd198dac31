"""What scaling by KEDA needs, and what KEDA gets. Pure.

KEDA asks Prometheus, and makes a HorizontalPodAutoscaler that asks KEDA. It gets no `fallback`: an
autoscaler without a number changes nothing, never goes below its minimum and says so in its conditions, while
one that is given a number in the place of a missing one looks well.
"""

from collections.abc import Mapping
from typing import Any

from squeeze_operator import names, promql
from squeeze_operator.desired import child_metadata
from squeeze_operator.podfaults import Fault
from squeeze_operator.profiles import PROFILES
from squeeze_operator.reasons import Reason
from squeeze_operator.snapshot import Options, Snapshot
from squeeze_operator.spec import KEDA_METRICS, ModelSpec

Json = dict[str, Any]
POLLING_SECONDS = 2
"""How often KEDA looks at a model that may sleep: half of it is what a wake-up costs beside the start."""


def missing(snapshot: Snapshot, spec: ModelSpec) -> Fault | None:
    """What the metric of a spec needs and the cluster does not have."""
    metric = spec.scaling.metric
    if metric not in KEDA_METRICS:
        return None
    if not snapshot.keda_installed:
        return Fault(
            Reason.KEDA_MISSING,
            f"Scaling by {metric} needs KEDA and Prometheus, and this cluster has no ScaledObject API: "
            "install them, or set spec.scaling.metric to cpu or none. The replicas that are there go on",
        )
    if not snapshot.options.prometheus_address:
        return Fault(
            Reason.PROMETHEUS_UNKNOWN,
            f"Scaling by {metric} needs Prometheus: install it, and name its address in the value "
            "prometheus.address of the operator's chart, or set spec.scaling.metric to cpu or none. The "
            "replicas that are there go on",
        )
    if spec.scaling.may_sleep and snapshot.options.activator is None:
        return Fault(
            Reason.ACTIVATOR_MISSING,
            "spec.scaling.minReplicas is 0, and this installation has no activator to hold the requests of "
            "a model that sleeps: set activator.enabled in the operator's chart, or minReplicas to 1. The "
            "replicas that are there go on",
        )
    return None


def scaled_object(
    metadata: Mapping[str, Any],
    spec: ModelSpec,
    options: Options,
    *,
    to_zero: bool = False,
    replicas: bool = True,
) -> Json:
    """The ScaledObject (keda.sh/v1alpha1) of which KEDA makes an autoscaler that follows Prometheus.

    `to_zero`: KEDA may take the last replica; `replicas`: there are some, of which Prometheus can tell.
    """
    name, scaling = metadata["name"], spec.scaling
    key = names.Key(metadata["namespace"], name)
    # A trigger without a number keeps KEDA from all but waking, so Prometheus is asked of replicas alone.
    triggers = _load(key, spec, options) if replicas else []
    if scaling.may_sleep and options.activator is not None:
        triggers.append(_held(key, options.activator))
    autoscaler_config = {
        "name": names.child_name(names.AUTOSCALERS, name),
        "behavior": {way: dict(rules) for way, rules in scaling.behavior.items()},
    }
    return {
        "apiVersion": names.SCALED_OBJECTS.api_version,
        "kind": names.SCALED_OBJECTS.kind,
        "metadata": child_metadata(metadata, names.child_name(names.SCALED_OBJECTS, name)),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": names.DEPLOYMENTS.api_version,
                "kind": names.DEPLOYMENTS.kind,
                "name": names.predictor_name(name),
            },
            "minReplicaCount": 0 if to_zero else max(1, scaling.min_replicas),
            "maxReplicaCount": scaling.max_replicas,
            "advanced": {"horizontalPodAutoscalerConfig": autoscaler_config},
            "triggers": triggers,
        }
        | (_pace(spec) if scaling.may_sleep else {}),
    }


def _pace(spec: ModelSpec) -> Json:
    """How fast KEDA wakes a model, and for how long nobody must have asked before it sleeps."""
    idle = spec.scaling.behavior["scaleDown"]["stabilizationWindowSeconds"]
    return {
        "pollingInterval": POLLING_SECONDS,
        "cooldownPeriod": idle,
        # Also before the first request, so that nothing sleeps the moment that it is made.
        "initialCooldownPeriod": idle,
    }


def _load(key: names.Key, spec: ModelSpec, options: Options) -> list[Json]:
    scaling, window = spec.scaling, options.prometheus_window
    utilization = promql.utilization(key, window)
    if scaling.metric == "latency":
        return [
            _trigger("latency", promql.latency(key, window), scaling.target, options),
            # How fast few requests are answered does not tell whether fewer replicas would do, so these must
            # stay below the profile's share of what they can carry too.
            _trigger("utilization", utilization, PROFILES[spec.profile].target, options),
        ]
    return [_trigger("utilization", utilization, scaling.target, options)]


def _held(key: names.Key, activator: names.Key) -> Json:
    """Requests that the pods of the activator hold for a model, together."""
    host = f"{activator.name}.{activator.namespace}.svc:{names.ACTIVATOR_REPORT_PORT}"
    return {
        "type": "metrics-api",
        "name": "held",
        "metadata": {
            "url": f"http://{host}/held/{key.namespace}/{key.name}",
            "valueLocation": "held",
            "aggregateFromKubeServiceEndpoints": "true",
            "aggregationType": "sum",
            # They wake the first replica; what is beyond it follows the load alone.
            "targetValue": "1000000",
        },
    }


def _trigger(name: str, query: str, target: int, options: Options) -> Json:
    return {
        "type": "prometheus",
        "name": name,
        # The query is about the average replica: replicas times query / target are wanted.
        "metricType": "Value",
        "metadata": {
            "serverAddress": options.prometheus_address,
            "query": query,
            "threshold": str(target),
            # No answer is not 0: without a number the autoscaler changes nothing.
            "ignoreNullValues": "false",
        },
    }
