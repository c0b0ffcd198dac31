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
    return None


def scaled_object(metadata: Mapping[str, Any], spec: ModelSpec, options: Options) -> Json:
    """The ScaledObject (keda.sh/v1alpha1) of which KEDA makes an autoscaler that follows Prometheus."""
    name = metadata["name"]
    scaling, triggers = spec.scaling, []
    key, window = names.Key(metadata["namespace"], name), options.prometheus_window
    share = scaling.target
    if scaling.metric == "latency":
        triggers.append(_trigger("latency", promql.latency(key, window), scaling.target, options))
        # How fast few requests are answered does not tell whether fewer replicas would do, so these must stay
        # below the profile's share of what they can carry too.
        share = PROFILES[spec.profile].target
    triggers.append(_trigger("utilization", promql.utilization(key, window), share, options))
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
            "minReplicaCount": scaling.min_replicas,
            "maxReplicaCount": scaling.max_replicas,
            "advanced": {"horizontalPodAutoscalerConfig": autoscaler_config},
            "triggers": triggers,
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
