"""One log format on stderr for this server, the SDK and uvicorn; the access log's lines are JSON alone."""

from __future__ import annotations

import logging

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure() -> None:
    """Route all logging through one handler. Quietens what the SDK says about itself."""
    logging.basicConfig(level=logging.INFO, format=FORMAT, force=True)
    # With a handler of its own the SDK does not install its configuration over ours.
    sdk = logging.getLogger("kserve")
    sdk.addHandler(logging.NullHandler())
    for name in ("kserve", "uvicorn.error", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # uvicorn warns about each malformed request line, which any client can send.
    logging.getLogger("uvicorn.error").addFilter(_not_malformed)
    lines = logging.StreamHandler()
    lines.setFormatter(logging.Formatter("%(message)s"))
    access = logging.getLogger("squeeze_predictor.access_log")
    access.addHandler(lines)
    access.propagate = False


def _not_malformed(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("Invalid HTTP request", "Unsupported upgrade"))
