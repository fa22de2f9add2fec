"""Waiting for something to become true, with a deadline and never longer than needed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = float(os.environ.get("LEADERBOARD_TEST_PATIENCE_S", "30"))
"""For whatever no promise bounds: a machine that is busy with other work is no failure. Mutants are given less."""


def eventually(look: Callable[[], T], within_s: float = PATIENCE_S, *, tell: Callable[[], str] = str) -> T:
    """Call `look` until it gives something true, and return that; fail when the time is up.

    `tell` adds to the message of the failure.
    """
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s; last seen: {found!r}{tell()}"
        time.sleep(0.005)
