"""Types of command line arguments that several commands have."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """An argument that counts something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
