"""The stop of a worker, for requests that would hold it up: each is told, and ends by itself."""

from __future__ import annotations

from collections.abc import Callable


class Leaving:
    """One for each worker. `began`: the worker stops, and its connections close after the answers that are due."""

    def __init__(self) -> None:
        self.began = False
        self._calls: list[Callable[[], None]] = []

    def add(self, call: Callable[[], None]) -> None:
        """Call this once, when the worker begins to stop."""
        self._calls.append(call)

    def begin(self) -> None:
        """The worker stops. Further calls do nothing."""
        if not self.began:
            self.began = True
            for call in self._calls:
                call()
