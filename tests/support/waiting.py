"""Waiting for something to become true, with a deadline and never longer than needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], within_s: float = 10.0) -> T:
    """Call `look` until it gives something true, and return that; fail when the time is up."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s; last seen: {found!r}"
        time.sleep(0.005)
