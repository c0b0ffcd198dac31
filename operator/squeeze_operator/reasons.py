"""Every reason that a condition of a SqueezeModel can carry; docs/operations.md lists them from here."""

from enum import StrEnum
from typing import Self


class Explained(StrEnum):
    """One word for a program, with what it means; the condition's message is the sentence for a person."""

    def __new__(cls, value: str, doc: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.__doc__ = doc
        return member


class Reason(Explained):
    """Of a SqueezeModel."""

    AVAILABLE = "Available", "All replicas run this spec and answer."
    RUNNING_ON_CPU = "RunningOnCPU", "It answers, but on the CPU although a GPU was asked for."
    REPLICAS_FAILING = "ReplicasFailing", "Enough replicas answer; at least one more cannot start."
    ASLEEP = "Asleep", "No replica runs, as minReplicas: 0 allows; the next request waits until one does."
    WAKING = "Waking", "A replica is being started, and requests wait for it."

    CREATING = "Creating", "The InferenceService is being made."
    WAITING_FOR_KSERVE = "WaitingForKServe", "KServe has not acted on the InferenceService yet."
    DOWNLOADING = "Downloading", "The storage initializer is fetching the weights."
    STARTING = "Starting", "Replicas are starting; none answers yet, or too few."
    ROLLING_OUT = "RollingOut", "New replicas are replacing old ones, which still answer."
    ROUTE_NOT_READY = (
        "RouteNotReady",
        "Replicas answer inside the cluster; the route from outside is not there.",
    )
    WAITING_FOR_TRAINING = "WaitingForTraining", "The SqueezeTraining that makes the weights is not finished."
    API_ERROR = "ApiError", "The Kubernetes API refused or failed a request; it is tried again with back-off."

    INVALID_SPEC = "InvalidSpec", "The spec contradicts itself in a way that the CRD cannot express."
    NAME_TAKEN = "NameTaken", "An object of the same name belongs to somebody else; it is left alone."
    NAME_TOO_LONG = "NameTooLong", "Name and namespace together do not fit into a host name."
    KSERVE_MISSING = "KServeMissing", "KServe's InferenceService API is not installed in this cluster."
    KSERVE_FAILED = "KServeFailed", "KServe could not turn the InferenceService into a Deployment."
    KEDA_MISSING = "KedaMissing", "The metric needs KEDA and Prometheus, and KEDA is not installed."
    ACTIVATOR_MISSING = "ActivatorMissing", "minReplicas: 0 needs the activator, and it is not installed."
    PROMETHEUS_UNKNOWN = (
        "PrometheusUnknown",
        "The metric comes from Prometheus, and the operator was not told where that is.",
    )
    TRAINING_FAILED = "TrainingFailed", "The SqueezeTraining that makes the weights does not go on."
    GATE_NOT_PASSED = "GateNotPassed", "The training's accuracy is below spec.gate."
    REJECTED = "Rejected", "An admission webhook or the API's validation refused a child object."

    UNSCHEDULABLE = "Unschedulable", "No node fits a replica's requests and placement."
    PODS_NOT_CREATED = "PodsNotCreated", "A quota or a pod security policy forbids the replicas."
    NO_ROOM_FOR_UPDATE = (
        "NoRoomForUpdate",
        "No GPU is free for a new replica while the old ones hold theirs, and downtime is not allowed.",
    )
    REPLACING_IN_PLACE = (
        "ReplacingInPlace",
        "No GPU is free for a new replica, so old ones go first, as spec.rollout.allowDowntime allows.",
    )
    IMAGE_UNAVAILABLE = "ImageUnavailable", "The predictor's image cannot be pulled."
    CONTAINER_CONFIG_INVALID = "ContainerConfigInvalid", "The container cannot be created as specified."
    WEIGHTS_DOWNLOAD_FAILED = "WeightsDownloadFailed", "The storage initializer could not fetch the weights."
    WEIGHTS_NOT_FOUND = "WeightsNotFound", "There are no weights at spec.weights.uri."
    WEIGHTS_INVALID = "WeightsInvalid", "The file at spec.weights.uri does not hold SqueezeNet weights."
    DIGEST_MISMATCH = "DigestMismatch", "The weights file differs from spec.weights.sha256."
    CONFIG_INVALID = "ConfigInvalid", "The predictor refused its configuration."
    NO_CUDA_DEVICE = "NoCudaDevice", "A replica got its GPU resource but found no CUDA device."
    ENGINE_FAILED = "EngineFailed", "No engine of the predictor's image computes this network."
    OUT_OF_MEMORY = "OutOfMemory", "A replica exceeded its memory limit and was killed."
    CRASH_LOOP = "CrashLoop", "A replica ends again and again for another reason."
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded", "New replicas did not become ready in time."

    FIXED_REPLICAS = "FixedReplicas", "The number of replicas is spec.scaling.minReplicas."
    FOLLOWS_LOAD = "FollowsLoad", "The number of replicas follows the load."
    AUTOSCALER_STARTING = "AutoscalerStarting", "The autoscaler is being made, or has not looked yet."
    OLD_AUTOSCALER_PRESENT = (
        "OldAutoscalerPresent",
        "The autoscaler of before is still there; the new one takes over once it has gone.",
    )
    KEDA_NOT_ACTING = "KedaNotActing", "KEDA has not made an autoscaler of the ScaledObject."
    WAITING_FOR_METRICS = "WaitingForMetrics", "The autoscaler has no metrics yet, as after every start."
    METRICS_MISSING = (
        "MetricsMissing",
        "The autoscaler gets no metrics; the number of replicas stays as it is.",
    )
    REQUESTS_MISSING = (
        "RequestsMissing",
        "Some replica requests no CPU, so there is nothing to measure against.",
    )
    ANOTHER_AUTOSCALER = (
        "AnotherAutoscaler",
        "Another autoscaler claims the same replicas; neither of them acts.",
    )
    SCALED_TO_ZERO = "ScaledToZero", "Somebody has set the Deployment to 0 replicas, which ends autoscaling."
    NO_ROOM_TO_SCALE = "NoRoomToScale", "The autoscaler wants more replicas than the cluster has room for."
    AT_MAX_REPLICAS = "AtMaxReplicas", "The load asks for more replicas than spec.scaling.maxReplicas."
    FLAPPING = "Flapping", "The number of replicas goes up and down again and again."

    SETTLED = "Settled", "Nothing is left to do."
    STALLED = "Stalled", "Work has stopped until somebody changes something."
    PROGRESSING = "Progressing", "Work is going on; nothing stands in its way."
    REPLICAS_ANSWER = "ReplicasAnswer", "At least one replica answers."
    NO_REPLICA_ANSWERS = "NoReplicaAnswers", "No replica answers."
    ALL_CURRENT = "AllReplicasCurrent", "Every replica runs this spec."
    OUTDATED = "ReplicasOutdated", "Some replica runs another spec, or there is none yet."


PREDICTOR_REASONS = frozenset(
    {
        Reason.WEIGHTS_NOT_FOUND,
        Reason.WEIGHTS_INVALID,
        Reason.DIGEST_MISMATCH,
        Reason.CONFIG_INVALID,
        Reason.NO_CUDA_DEVICE,
        Reason.ENGINE_FAILED,
    }
)
"""The reasons that the predictor itself writes into its termination message, as "<Reason>: <sentence>"."""
