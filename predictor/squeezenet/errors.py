"""Every error this library raises on purpose.

Each carries one sentence for a person (``message``: what is wrong and what to change) and one CamelCase
word for a machine (``reason``). A caller maps reasons to HTTP statuses; nothing here knows of them.
"""

from __future__ import annotations


class SqueezeNetError(Exception):
    """Base of all errors raised on purpose; ``message`` never holds a traceback or picture content.

    ``exit_code``: that of a command which ends with this error.
    """

    reason: str = "Error"
    exit_code: int = 2

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigError(SqueezeNetError):
    """A ``config.json`` or an option contradicts itself, the labels or the weights."""

    reason = "ConfigInvalid"


class LabelsError(ConfigError):
    """A list of labels cannot be read, or does not fit the number of classes."""


class WeightsError(SqueezeNetError):
    """The weights cannot be used."""

    reason = "WeightsInvalid"


class WeightsNotFoundError(WeightsError):
    """Nothing usable lies at the URI, or it cannot be reached."""

    reason = "WeightsNotFound"


class DigestMismatchError(WeightsError):
    """The weights are not the file whose sha256 was asked for."""

    reason = "DigestMismatch"


class DeviceError(SqueezeNetError):
    """The device asked for is not there."""

    reason = "NoCudaDevice"


class EngineError(SqueezeNetError):
    """An engine is not here, does not run, or computes something else than this network."""

    reason = "EngineFailed"


class PictureError(SqueezeNetError):
    """A picture is refused.

    Reasons: ``PictureEmpty``, ``PictureTooLarge`` (bytes), ``PictureTooManyPixels``, ``PictureUnsupported``
    (format or pixel kind) and ``PictureInvalid`` (cannot be decoded).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
