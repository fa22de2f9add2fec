"""Waiting for something to become true, with a deadline and never longer than needed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = float(os.environ.get("LEADERBOARD_TEST_PATIENCE_S", "30"))
"""For whatever no promise bounds: a machine that is busy with other work is no failure. Mutants are given less."""


PAUSE_S, PAUSE_MOST_S = 0.005, 0.1
PART: Final = 1 / 10
"""The pause between two looks is this part of the time waited so far: looking costs what is looked at, too."""


def eventually(look: Callable[[], T], within_s: float = PATIENCE_S, *, tell: Callable[[], str] = str) -> T:
    """Call `look` until it gives something true, and return that; fail when the time is up.

    `tell` adds to the message of the failure.
    """
    began = time.monotonic()
    while True:
        found = look()
        if found:
            return found
        waited = time.monotonic() - began
        assert waited < within_s, f"not within {within_s:.0f} s; last seen: {found!r}{tell()}"
        time.sleep(min(max(PAUSE_S, PART * waited), PAUSE_MOST_S, max(PAUSE_S, within_s - waited)))
