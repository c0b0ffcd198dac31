"""The `squeezenet` command. Placeholder of the argument parser's entry point; see `main`."""

from __future__ import annotations


def main() -> int:
    """Runs the command line."""
    return 0
