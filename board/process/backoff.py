"""Delays that grow after each failure, with jitter, up to a bound."""

from __future__ import annotations

import random


class Backoff:
    """Delays in seconds: `first`, then doubled up to `most`, each between half and the whole of it."""

    def __init__(self, first: float, most: float, randomness: random.Random | None = None) -> None:
        self._first = first
        self._most = most
        self._random = randomness or random.Random()
        self._failures = 0

    def failed(self) -> float:
        """Count a failure; returns the seconds to wait before the next try."""
        delay = min(self._most, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return delay * (0.5 + 0.5 * self._random.random())

    def succeeded(self) -> None:
        """Start again from the first delay."""
        self._failures = 0
