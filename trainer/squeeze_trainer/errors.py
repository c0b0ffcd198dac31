"""What ends a run, each with a message for a person, a reason for a machine and an exit code of its own."""

from __future__ import annotations

from squeezenet.errors import SqueezeNetError


class TrainerError(SqueezeNetError):
    """Base of what the trainer raises on purpose; ``exit_code`` is the command's."""

    reason = "TrainingFailed"
    exit_code = 1


class DataError(TrainerError):
    """The data set cannot be used as it is: nothing there, empty classes, splits that disagree, damage."""

    reason = "DataInvalid"
    exit_code = 3


class DivergedError(TrainerError):
    """The loss or a gradient is not finite. The last checkpoint is from before that."""

    reason = "TrainingDiverged"
    exit_code = 4


class StuckError(TrainerError):
    """The network guesses: its loss is that of knowing nothing but how frequent the classes are."""

    reason = "TrainingStuck"
    exit_code = 5


class CheckpointError(TrainerError):
    """A checkpoint does not belong to this run, or none of them can be read."""

    reason = "CheckpointInvalid"
    exit_code = 6


class OutputError(TrainerError):
    """What a run leaves behind cannot be written or read: no space, no right, no such place."""

    reason = "OutputUnavailable"


class InterruptedRun(TrainerError):
    """The process was asked to stop, and stopped after writing a checkpoint.

    The exit code is EX_TEMPFAIL of sysexits.h: the same command goes on where this one stopped.
    """

    reason = "TrainingInterrupted"
    exit_code = 75
