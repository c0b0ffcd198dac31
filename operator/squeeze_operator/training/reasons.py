"""Every reason that a condition of a SqueezeTraining can carry; docs/operations.md lists them from here."""

from squeeze_operator.reasons import Explained


class TrainingReason(Explained):
    """Of a SqueezeTraining."""

    TRAINED = "Trained", "The artifact is written, and its digest and measures stand in the status."

    CREATING = "Creating", "The Job is being made."
    STARTING = "Starting", "Workers are starting, or waiting for each other."
    TRAINING = "Training", "The workers train; status.progress says how far they are."
    SUSPENDED = "Suspended", "spec.suspend is true: no worker runs, and the last checkpoint is kept."
    EVICTED = "Evicted", "A node gave a worker up; it starts again from the last checkpoint."
    WORKER_LOST = "WorkerLost", "A worker's connection to another one broke; both start again."
    INTERRUPTED = "TrainingInterrupted", "A worker was told to stop; it wrote a checkpoint and starts again."
    API_ERROR = "ApiError", "The Kubernetes API refused or failed a request; it is tried again with back-off."

    INVALID_SPEC = "InvalidSpec", "The spec contradicts itself in a way that the CRD cannot express."
    NAME_TAKEN = "NameTaken", "A Job or Service of the same name belongs to somebody else; it is left alone."
    REJECTED = "Rejected", "An admission webhook or the API's validation refused the Job."
    PODS_NOT_CREATED = "PodsNotCreated", "A quota or a pod security policy forbids the workers."
    VOLUME_UNAVAILABLE = "VolumeUnavailable", "A claim that the spec names cannot be mounted by the workers."
    UNSCHEDULABLE = "Unschedulable", "No node fits a worker's requests and placement."
    IMAGE_UNAVAILABLE = "ImageUnavailable", "The trainer's image cannot be pulled."
    CONTAINER_CONFIG_INVALID = "ContainerConfigInvalid", "The container cannot be created as specified."

    OUT_OF_MEMORY = "OutOfMemory", "A worker exceeded its memory limit and was killed."
    WORKER_FAILED = "WorkerFailed", "A worker ended for another reason."
    DATA_INVALID = "DataInvalid", "The dataset cannot be used as it is."
    DIVERGED = "TrainingDiverged", "The loss or a gradient was not finite; the last good checkpoint is kept."
    STUCK = "TrainingStuck", "The network only guesses, in every attempt."
    CHECKPOINT_INVALID = "CheckpointInvalid", "The checkpoints at the output belong to another run."
    CONFIG_INVALID = "ConfigInvalid", "The trainer refused its options."
    WEIGHTS_NOT_FOUND = "WeightsNotFound", "There are no weights at spec.weights.uri."
    WEIGHTS_INVALID = "WeightsInvalid", "The file at spec.weights.uri does not hold SqueezeNet weights."
    DIGEST_MISMATCH = "DigestMismatch", "The initial weights differ from spec.weights.sha256."
    NO_CUDA_DEVICE = "NoCudaDevice", "A worker got its GPU resource but found no CUDA device."
    OUTPUT_UNAVAILABLE = "OutputUnavailable", "The output cannot be read or written."
    RESULT_LOST = "ResultLost", "The Job is complete, and its leading pod went before its result was read."

    SETTLED = "Settled", "Nothing is left to do."
    STALLED = "Stalled", "Work has stopped until somebody changes something."
    PROGRESSING = "Progressing", "Work is going on; nothing stands in its way."


WORKER_REASONS = frozenset(
    {
        TrainingReason.WORKER_LOST,
        TrainingReason.INTERRUPTED,
        TrainingReason.DATA_INVALID,
        TrainingReason.DIVERGED,
        TrainingReason.STUCK,
        TrainingReason.CHECKPOINT_INVALID,
        TrainingReason.CONFIG_INVALID,
        TrainingReason.WEIGHTS_NOT_FOUND,
        TrainingReason.WEIGHTS_INVALID,
        TrainingReason.DIGEST_MISMATCH,
        TrainingReason.NO_CUDA_DEVICE,
        TrainingReason.OUTPUT_UNAVAILABLE,
    }
)
"""The reasons that a worker itself writes into its termination message, as "<Reason>: <sentence>"."""
