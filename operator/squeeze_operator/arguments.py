"""Values of command lines that both programs check alike."""

import argparse


def port_number(text: str) -> int:
    """A number of a port, or 0. Raises argparse.ArgumentTypeError, ValueError."""
    if not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; use 0 to 65535")
    return int(text)


def seconds(text: str) -> float:
    """A finite time above 0. Raises argparse.ArgumentTypeError, ValueError."""
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return float(text)
