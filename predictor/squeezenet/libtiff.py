"""Keeps libtiff quiet: it writes of every damaged file to stderr, and Pillow has no switch for that."""

from __future__ import annotations

import ctypes
from pathlib import Path

# Linux's list of what is loaded into this process.
_MAPS = Path("/proc/self/maps")


def silence() -> bool:
    """Take away the handlers that print, once Pillow is loaded. Returns whether libtiff was found."""
    path = _loaded()
    if path is None:
        return False
    library = ctypes.CDLL(path)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        function = getattr(library, name)
        function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
        function(None)
    return True


def _loaded() -> str | None:
    """The very file that Pillow uses: its wheel brings one of its own."""
    try:
        lines = _MAPS.read_text().splitlines()
    except OSError:
        return None
    return next((line[line.index("/") :] for line in lines if "/libtiff" in line), None)
