"""Types of command line arguments, shared by the commands."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A number of at least 1. Raises `ArgumentTypeError` for a smaller one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
