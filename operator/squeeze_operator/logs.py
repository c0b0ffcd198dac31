"""Logging to standard error, one line a record, as text or JSON. Foreign text cannot break a line.

Every record that is written while a model or a training is being looked at names it.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from squeeze_operator.names import KIND, TRAINING_KIND, Key

_OWNER: ContextVar[Key | None] = ContextVar("owner", default=None)
_FIELDS = {KIND: "model", TRAINING_KIND: "training"}


@contextmanager
def about(key: Key) -> Iterator[None]:
    """Records of this task, until the end of the block, are about this model or training."""
    token = _OWNER.set(key)
    try:
        yield
    finally:
        _OWNER.reset(token)


class TextFormatter(logging.Formatter):
    """Readable lines; line breaks of a message are escaped, a traceback keeps its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        subject = _subject(record)
        record.message = f"{'/'.join(subject.values())}: {message}" if subject else message
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a record.

    time, level, logger and message; namespace and model or training where it is about one; reason where the
    record has one (`extra={"reason": ...}`); exception where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            **_subject(record),
            "message": record.getMessage(),
        }
        if reason := getattr(record, "reason", None):
            entry["reason"] = str(reason)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def _subject(record: logging.LogRecord) -> dict[str, str]:
    """Namespace and model, training or other object of a record; empty for the operator itself."""
    if key := _OWNER.get():
        return {"namespace": key.namespace, _FIELDS[key.kind]: key.name}
    # kopf's own records of an object carry a reference to it.
    if not (reference := getattr(record, "k8s_ref", None)):
        return {}
    namespace, kind, name = (str(reference.get(field)) for field in ("namespace", "kind", "name"))
    field = _FIELDS.get(kind)
    return {"namespace": namespace} | ({field: name} if field else {"object": f"{kind}/{name}"})


def configure(log_format: str, level: str) -> None:
    """Sends the records of this process to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter()
        if log_format == "json"
        else TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
