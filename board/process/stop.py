"""The request to stop: a signal sets a flag and ends every wait."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType


class Stop:
    """Installs handlers for SIGTERM and SIGINT in the main thread of a process.

    `wait` sleeps until the signal or for the given time, without polling. A second signal changes nothing: work in
    hand is always finished; SIGKILL ends the process at once.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.request()

    def request(self) -> None:
        """Request the stop, as the signals do."""
        if not self.requested:
            self.requested = True
            os.write(self._write, b"!")

    def wait(self, seconds: float | None) -> bool:
        """Sleep at most this long; True as soon as a stop is requested."""
        if not self.requested:
            select.select([self._read], [], [], seconds)
        return self.requested
