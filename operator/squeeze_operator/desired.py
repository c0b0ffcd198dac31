"""Builds the objects that a SqueezeModel stands for. Pure: a spec and the options in, plain objects out.

What is written here and nothing else is owned by the operator's field manager. A change of any value in the
pod part rolls the pods of every model at the operator's next start, so such a change needs a release note.
"""

from collections.abc import Mapping
from typing import Any

from squeeze_operator import names
from squeeze_operator.snapshot import Options
from squeeze_operator.spec import Accelerator, ModelSpec

HOSTNAME = "kubernetes.io/hostname"
ARCHITECTURE = "kubernetes.io/arch"
TERMINATION_GRACE_SECONDS = 60
_DRAIN_SECONDS = 5
"""How long a leaving pod goes on answering, so that every proxy has forgotten it when it stops accepting."""
_STARTUP_SECONDS = 600
"""How long a first start may take: a torchvision download on a slow link is part of it."""

Json = dict[str, Any]


SURGE: Json = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
"""A new pod is there before an old one goes."""
IN_PLACE: Json = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
"""An old pod goes, and a new one takes its place."""


def inference_service(
    metadata: Mapping[str, Any], spec: ModelSpec, options: Options, strategy: Json = SURGE
) -> Json:
    """The InferenceService (serving.kserve.io/v1beta1) of a model, in KServe's Standard mode."""
    return {
        "apiVersion": names.INFERENCE_SERVICES.api_version,
        "kind": names.INFERENCE_SERVICES.kind,
        "metadata": child_metadata(metadata, metadata["name"])
        | {
            "annotations": {
                # Named explicitly: a cluster's default mode may change under us.
                names.DEPLOYMENT_MODE: "Standard",
                # KServe's own autoscaler knows no behavior, so ours scales; with "none" KServe sets replicas.
                names.AUTOSCALER_CLASS: "none" if spec.scaling.metric == "none" else "external",
            }
        },
        "spec": {
            "predictor": {
                # A model begins awake, and only KEDA puts it to sleep.
                "minReplicas": max(1, spec.scaling.min_replicas),
                "maxReplicas": spec.scaling.max_replicas,
                "deploymentStrategy": strategy,
            }
            | pod_spec(metadata["name"], spec, options)
        },
    }


def autoscaler(metadata: Mapping[str, Any], spec: ModelSpec) -> Json:
    """The HorizontalPodAutoscaler (autoscaling/v2) that follows the CPU use of the predictors."""
    target = {"type": "Utilization", "averageUtilization": spec.scaling.target}
    # Of this container alone: a sidecar that a mesh injects may request nothing, which blinds a pod's metric.
    cpu = {"name": "cpu", "container": names.CONTAINER, "target": target}
    name = metadata["name"]
    return {
        "apiVersion": names.AUTOSCALERS.api_version,
        "kind": names.AUTOSCALERS.kind,
        "metadata": child_metadata(metadata, names.child_name(names.AUTOSCALERS, name)),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": names.DEPLOYMENTS.api_version,
                "kind": names.DEPLOYMENTS.kind,
                "name": names.predictor_name(name),
            },
            "minReplicas": spec.scaling.min_replicas,
            "maxReplicas": spec.scaling.max_replicas,
            "metrics": [{"type": "ContainerResource", "containerResource": cpu}],
            "behavior": {way: dict(rules) for way, rules in spec.scaling.behavior.items()},
        },
    }


def disruption_budget(metadata: Mapping[str, Any], spec: ModelSpec) -> Json:
    """Keeps a node drain from taking too many replicas at once (policy/v1)."""
    name = metadata["name"]
    return {
        "apiVersion": names.DISRUPTION_BUDGETS.api_version,
        "kind": names.DISRUPTION_BUDGETS.kind,
        "metadata": child_metadata(metadata, names.child_name(names.DISRUPTION_BUDGETS, name)),
        "spec": {
            "maxUnavailable": spec.max_unavailable,
            "selector": {"matchLabels": {"app": names.app_label(name)}},
            # A replica that does not answer anyway must not block a drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def pod_spec(name: str, spec: ModelSpec, options: Options) -> Json:
    """The fields of the pod, of the restricted Pod Security Standard."""
    pod: Json = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": pod_security(),
        "containers": [_container(name, spec, options)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
    }
    architecture = "" if spec.image else options.architecture
    return pod | _spread(name, spec) | on_architecture(architecture, pod_placement(spec.placement))


def on_architecture(architecture: str, placement: Json) -> Json:
    """A pod's placement kept on nodes of an architecture, where there is one and the placement names none."""
    if not architecture:
        return placement
    return placement | {"nodeSelector": {ARCHITECTURE: architecture} | placement.get("nodeSelector", {})}


def pod_placement(placement: Mapping[str, Any]) -> Json:
    """The pod's fields that spec.placement sets."""
    pod = {
        key: placement[key]
        for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "serviceAccountName")
        if placement.get(key)
    }
    if placement.get("imagePullSecrets"):
        pod["imagePullSecrets"] = [{"name": secret["name"]} for secret in placement["imagePullSecrets"]]
    return pod


def pod_security() -> Json:
    """The pod's part of the restricted Pod Security Standard."""
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def container_security() -> Json:
    """The container's part of the restricted Pod Security Standard, and a read-only root filesystem."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _spread(name: str, spec: ModelSpec) -> Json:
    """Which nodes are better ones. Wishes only: a replica on a worse node is better than none."""
    if spec.spread == "nodes":
        constraint = {
            "maxSkew": 1,
            "topologyKey": HOSTNAME,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": names.app_label(name)}},
            # Else the replicas that an update replaces would push the new ones aside.
            "matchLabelKeys": ["pod-template-hash"],
        }
        return {"topologySpreadConstraints": [constraint]}
    if spec.spread == "pack":
        selector = {"matchLabels": {names.PART_OF_LABEL: names.PART_OF}}
        term = {"topologyKey": HOSTNAME, "labelSelector": selector}
        preferred = [{"weight": 100, "podAffinityTerm": term}]
        return {"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}
    return {}


def _container(name: str, spec: ModelSpec, options: Options) -> Json:
    return {
        "name": names.CONTAINER,
        "image": spec.image or options.predictor_image,
        "imagePullPolicy": options.image_pull_policy,
        "args": _arguments(name, spec, options),
        "env": _environment(spec, options),
        # KServe gives its Service port 80 for the first, and the others as they are.
        "ports": [
            {"name": names.HTTP_PORT_NAME, "containerPort": names.HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": names.GRPC_PORT, "protocol": "TCP"},
        ],
        "resources": resources_with_gpus(spec.resources, spec.accelerator),
        "startupProbe": _probe("/v2/health/ready", period=1, timeout=5, failures=_STARTUP_SECONDS),
        "readinessProbe": _probe("/v2/health/ready", period=5, timeout=5, failures=2),
        "livenessProbe": _probe("/v2/health/live", period=10, timeout=5, failures=6),
        # The image has no shell; the kubelet itself does the waiting.
        "lifecycle": {"preStop": {"sleep": {"seconds": _DRAIN_SECONDS}}},
        "securityContext": container_security(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def _arguments(name: str, spec: ModelSpec, options: Options) -> list[str]:
    weights = spec.weights
    gpus = spec.accelerator.gpus
    arguments = [
        f"--model-name={name}",
        f"--weights={names.MODEL_MOUNT if weights.remote else weights.uri}",
        # Never "auto": a pod without a GPU request must not use a GPU that it happens to see.
        f"--device={'cuda' if gpus else 'cpu'}",
        f"--grpc-port={names.GRPC_PORT}",
        f"--streams={spec.batching.streams}",
        f"--batch-size={spec.batching.batch_size}",
        f"--queue-size={spec.batching.queue_size}",
    ]
    if gpus and options.allow_cpu_fallback:
        arguments.append("--cpu-fallback")
    if weights.sha256:
        arguments.append(f"--sha256={weights.sha256}")
    if spec.architecture:
        arguments.append(f"--architecture={spec.architecture}")
    if spec.precision != "auto":
        # The predictor's default is left unsaid, so that models from before this field do not roll.
        arguments.append(f"--precision={spec.precision}")
    return arguments


def _environment(spec: ModelSpec, options: Options) -> list[Json]:
    # The root filesystem is read-only; every cache goes to the emptyDir.
    environment = [{"name": "HOME", "value": "/tmp"}, {"name": "TORCH_HOME", "value": "/tmp/torch"}]
    environment += [{"name": name, "value": value} for name, value in options.environment]
    if spec.weights.remote:
        environment.append({"name": names.STORAGE_URI, "value": spec.weights.uri})
    return environment


def resources_with_gpus(resources: Mapping[str, Mapping[str, Any]], accelerator: Accelerator) -> Json:
    """A container's requests and limits, with its GPUs in both."""
    copied = {kind: dict(amounts) for kind, amounts in resources.items()}
    if accelerator.gpus:
        for amounts in copied.values():
            # Kubernetes wants extended resources as whole numbers, equal in requests and limits.
            amounts[accelerator.resource_name] = str(accelerator.gpus)
    return copied


def _probe(path: str, period: int, timeout: int, failures: int) -> Json:
    return {
        "httpGet": {"path": path, "port": names.HTTP_PORT},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def child_metadata(metadata: Mapping[str, Any], name: str) -> Json:
    """The metadata of a child of this name: labels that tell whose it is, and its owner."""
    return {
        "name": name,
        "namespace": metadata["namespace"],
        # Labels travel to the pods, so a user's own labels on the model are not passed on.
        "labels": {
            names.MANAGED_BY_LABEL: names.FIELD_MANAGER,
            names.PART_OF_LABEL: names.PART_OF,
            names.MODEL_LABEL: metadata["name"],
        },
        "ownerReferences": [names.owner_reference(names.KIND, metadata)],
    }
