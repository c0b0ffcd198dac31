"""Binds the port before anything slow is imported, so that a port in use is known at once."""

from __future__ import annotations

import socket

from squeeze_predictor.errors import StartError


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket that does not listen yet; `port` 0 picks a free one.

    Raises:
        StartError: ConfigInvalid when the address cannot be bound.
    """
    listener: socket.socket | None = None
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise StartError(
            "ConfigInvalid", f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL at which this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"
