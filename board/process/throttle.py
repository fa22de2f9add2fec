"""Log lines that would repeat themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

KEPT_MOST: Final = 256


class Throttle:
    """Lets each kind of line through at once, and its repetitions once in `every_s` seconds."""

    def __init__(self, every_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s: Final = every_s
        self._clock: Final = clock
        self._next: dict[str, float] = {}

    def admits(self, kind: str) -> bool:
        """True if a line of this kind may be written now."""
        now = self._clock()
        if now < self._next.get(kind, now):
            return False
        if len(self._next) >= KEPT_MOST:
            self._next.clear()
        self._next[kind] = now + self._every_s
        return True

    def forget(self) -> None:
        """The trouble is over: the next line of any kind is a first one."""
        self._next.clear()
