"""The schedule of a relay: when it looks at a partition again, and when at all of them. All times are of its clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from board.config.settings import Settings
from board.process.backoff import Backoff

RETRY_S: Final = 0.002
RETRY_MOST_S: Final = 0.05
NODE_RETRY_S: Final = 0.1
PACES_MOST: Final = 4
SET_BACK_S: Final = 0.1
SET_BACK_MOST_S: Final = 5.0


class Schedule:
    """Times in seconds of `clock`. `due`: partitions to try again. `rests`: partitions held until their rest ends."""

    def __init__(self, settings: Settings, clock: Callable[[], float], randomness: random.Random) -> None:
        self.clock: Final = clock
        self.random: Final = randomness
        self.idle_s: Final = settings.relay_idle_ms / 1000
        self.pace_s: Final = settings.relay_pace_ms / 1000
        self.check_s: Final = settings.relay_check_ms / 1000
        self.sample_s: Final = settings.relay_sample_ms / 1000
        self.due: Final[dict[int, float]] = {}
        self.rests: Final[dict[int, float]] = {}
        self.failures: Final[dict[int, Backoff]] = {}
        self.next_check = self.next_poll = self.next_sample = clock()

    def begin(self) -> None:
        """Start anew on new connections: a check and a poll are due at once."""
        self.due.clear()
        self.rests.clear()
        self.next_check = self.next_poll = self.clock()

    def plan_check(self) -> None:
        """The next check comes after the interval, give or take a quarter of it."""
        self.next_check = self.clock() + self.check_s * (0.75 + 0.5 * self.random.random())

    def plan_sample(self) -> None:
        """The next sample comes after the interval, give or take a quarter of it."""
        self.next_sample = self.clock() + self.sample_s * (0.75 + 0.5 * self.random.random())

    def plan_poll(self) -> None:
        """The next poll comes after the idle interval."""
        self.next_poll = self.clock() + self.idle_s

    def wait_s(self, now: float) -> float:
        """How long a wait for a poke may last: the idle interval at most, a millisecond at least."""
        until = min([self.next_poll, *self.due.values(), *self.rests.values()])
        # Redis takes 0 as "for ever" and rounds below a millisecond.
        return min(self.idle_s, max(0.001, until - now))

    def pop_due(self, now: float) -> Iterator[int]:
        """The partitions whose time to be tried again has come; each is taken off as it is yielded."""
        for partition in [p for p, due in self.due.items() if due <= now]:
            del self.due[partition]
            yield partition

    def rested(self, now: float) -> list[int]:
        """The partitions whose rest has ended."""
        return [p for p, until in self.rests.items() if until <= now]

    def rest(self, partition: int) -> None:
        """After a batch: hold the partition for its rest, unless it is to be tried again.

        PERF: a batch has a fixed cost. A relay with several busy partitions rests each the longer, up to `PACES_MOST`
        paces: so it makes about as many batches as with one.
        """
        if partition not in self.due:
            paces = min(PACES_MOST, 1 + len(self.rests.keys() - {partition}))
            self.rests[partition] = self.clock() + self.pace_s * paces

    def planned(self, partition: int) -> bool:
        """True if the partition has a time of its own, so that a poll leaves it out."""
        return partition in self.due or partition in self.rests

    def retry_soon(self, partition: int) -> None:
        """Try again within milliseconds: another relay holds the partition, with a snapshot older than our hint."""
        backoff = self.failures.setdefault(partition, Backoff(RETRY_S, RETRY_MOST_S, self.random))
        self.due[partition] = self.clock() + backoff.failed()

    def set_back(self, partition: int) -> float:
        """Try again after a refusal; returns the delay in seconds, which grows with each one in a row."""
        backoff = self.failures.setdefault(partition, Backoff(SET_BACK_S, SET_BACK_MOST_S, self.random))
        delay_s = backoff.failed()
        self.due[partition] = self.clock() + delay_s
        return delay_s

    def wait_for_node(self, partition: int) -> None:
        """Try again soon: a node is away for seconds, and to ask for it costs nothing."""
        self.due[partition] = self.clock() + NODE_RETRY_S * (0.5 + self.random.random())

    def visit_soon(self, partition: int) -> None:
        """Visit a partition that has hints of this relay, unless it rests: then they are found at the next visit."""
        self.due[partition] = self.clock()
        self.rests.pop(partition, None)

    def succeeded(self, partition: int) -> None:
        """The partition is well: its next failure is a first one."""
        self.failures.pop(partition, None)
