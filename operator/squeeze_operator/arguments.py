"""Values of command lines that both programs check alike."""

import argparse


def seconds(text: str) -> float:
    """A finite time above 0. Raises argparse.ArgumentTypeError, ValueError."""
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return float(text)
