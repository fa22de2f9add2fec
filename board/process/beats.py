"""Signs of life of child processes: counters in shared memory, which the supervisor of the children watches.

A child raises its counter at least every few seconds. The supervisor replaces a child whose counter stands still: a
process that is stopped, or hangs, ends by itself never. The times are the supervisor's own, so a machine that was
suspended, or a supervisor that was stopped itself, finds no child to be silent.
"""

from __future__ import annotations

import mmap
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

VARIABLE: Final = "CHILD_BEAT"
"""The environment variable of a child: the descriptor of the memory, a colon, the number of its counter."""
SILENCE_S: Final = 30.0
"""A child that is silent for longer than this stands still. gunicorn's bound for its workers is the same."""
START_S: Final = 120.0
"""The same before the first sign: a busy machine takes long to start a process."""
STEP_MOST_S: Final = 1.0
"""A look later than this after the last one counts as this: nothing is known of the time between."""
WAIT_BEAT_S: Final = 1.0
_BYTES: Final = 8


class Beats:
    """The counters of several children, in anonymous shared memory. The supervisor makes it."""

    def __init__(self, children: int) -> None:
        self.fd: Final = os.memfd_create("leaderboard-beats")
        os.ftruncate(self.fd, max(1, children) * _BYTES)
        self._cells: Final = memoryview(mmap.mmap(self.fd, max(1, children) * _BYTES)).cast("Q")

    def read(self, number: int) -> int:
        """The counter of a child."""
        return self._cells[number]

    def reset(self, number: int) -> None:
        """Set a counter to zero for a new process."""
        self._cells[number] = 0

    def environment(self, number: int) -> dict[str, str]:
        """The variable by which a child finds its counter. The child inherits `fd`, too."""
        return {VARIABLE: f"{self.fd}:{number}"}


class Counters(Protocol):
    """Counters of signs of life, by number."""

    def read(self, number: int) -> int:
        """The counter of a child."""

    def reset(self, number: int) -> None:
        """Set a counter to zero for a new process."""


class Silence:
    """How long a child has been silent, from the times at which its supervisor looks."""

    def __init__(self, beats: Counters, number: int, most_s: float = SILENCE_S, start_most_s: float = START_S) -> None:
        self._beats: Final = beats
        self._number: Final = number
        self._most_s: Final = most_s
        self.start_most_s: Final = max(most_s, start_most_s)
        self._seen = 0
        self._looked = 0.0
        self._silent_s = 0.0

    def begin(self, now: float) -> None:
        """A new process has started."""
        self._beats.reset(self._number)
        self._seen, self._looked, self._silent_s = 0, now, 0.0

    @property
    def heard(self) -> bool:
        """Whether the process has given a sign of life."""
        return self._beats.read(self._number) > 0

    def too_long(self, now: float) -> bool:
        """Look now; True if the process stands still."""
        count = self._beats.read(self._number)
        if count != self._seen:
            self._seen, self._silent_s = count, 0.0
        else:
            self._silent_s += min(now - self._looked, STEP_MOST_S)
        self._looked = now
        return self._silent_s > (self._most_s if count else self.start_most_s)


class Beat:
    """The counter of this process. Without a supervisor that watches it, it does nothing."""

    def __init__(self, cells: memoryview | None = None, number: int = 0) -> None:
        self._cells: Final = cells
        self._number: Final = number
        self._waiting = False
        self._waiter: threading.Thread | None = None

    @classmethod
    def inherit(cls, environment: Mapping[str, str]) -> Beat:
        """The counter that the supervisor has given to this process."""
        fd, colon, number = environment.get(VARIABLE, "").partition(":")
        if not colon:
            return cls()
        size = os.fstat(int(fd)).st_size
        return cls(memoryview(mmap.mmap(int(fd), size)).cast("Q"), int(number))

    def give(self) -> None:
        """Give a sign of life. The loop that must not stand still calls it, at least every few seconds."""
        if self._cells is not None:
            self._cells[self._number] += 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Go on giving signs inside the block, which waits for a server as long as it takes.

        A thread gives them, so a process that is stopped is silent here, too.
        """
        self.give()
        if self._cells is not None and self._waiter is None:
            self._waiter = threading.Thread(target=self._give_while_waiting, name="beat", daemon=True)
            self._waiter.start()
        before, self._waiting = self._waiting, True
        try:
            yield
        finally:
            self._waiting = before
            self.give()

    def _give_while_waiting(self) -> None:
        # The handlers of signals run on the main thread, whose waits they have to end.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        pause = threading.Event()
        while not pause.wait(WAIT_BEAT_S):
            if self._waiting:
                self.give()
