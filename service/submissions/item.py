"""One submission on its way through the intake, and what can be said of it at the end."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final, Protocol

from board.errors import LeaderboardError, StoreUnavailable


class QueueFull(StoreUnavailable):
    """The bounded queue is full; nothing was written."""

    code = "overloaded"


class ScoreOutOfRange(LeaderboardError):
    """The player's score plus delta leaves int64; nothing was written."""

    code = "score-out-of-range"


class KeyReused(LeaderboardError):
    """The idempotency key was used before for another submission; nothing was written."""

    code = "idempotency-key-reused"


Outcome = tuple[int, int] | LeaderboardError
"""(score, version) of a submission that counts, or why it does not."""


class Promise(Protocol):
    """The side of a future that the intake needs."""

    def done(self) -> bool: ...

    def set_result(self, result: tuple[int, int], /) -> None: ...

    def set_exception(self, error: LeaderboardError, /) -> None: ...


class Item:
    """`future` gets (score, version) or an error; `digest` and `fingerprint` are 32 hex digits, or None without a key.

    `trace` is the `traceparent` that goes with it to the relay, where there is one.

    `weight` is how many items go into one statement with this one and behind it: 1, or all of its request.
    """

    weight = 1

    __slots__ = ("deadline", "delta", "digest", "fingerprint", "future", "season", "trace", "tries", "user")

    def __init__(
        self,
        season: str,
        user: str,
        delta: int,
        future: Promise,
        deadline: float,
        digest: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self.season = season
        self.user = user
        self.delta = delta
        self.future = future
        self.deadline = deadline
        self.digest = digest
        self.fingerprint = fingerprint
        self.tries = 0
        self.trace: str | None = None

    def set_key(self, key: str) -> None:
        """Give the submission its idempotency key."""
        self.digest, self.fingerprint = make_digest(self.season, key), make_digest(self.user, str(self.delta))

    def fail(self, error: LeaderboardError) -> None:
        """Answer with an error, unless the caller is gone or answered."""
        if not self.future.done():
            self.future.set_exception(error)


class BatchRequest:
    """Submissions of one request, written by one statement. `future` gets an outcome for each, in order."""

    def __init__(self, future: asyncio.Future[list[Outcome]], size: int) -> None:
        self.future: Final = future
        self.outcomes: Final[list[Any]] = [None] * size
        self.open = size

    def close(self, at: int, outcome: Outcome) -> None:
        """Note what became of a submission; the last one answers the request."""
        self.outcomes[at] = outcome
        self.open -= 1
        if not self.open and not self.future.done():
            self.future.set_result(self.outcomes)


class BatchItem(Item):
    """One submission of a request. PERF: it is its own promise; a future each would double what a submission costs."""

    __slots__ = ("at", "request", "weight")

    def __init__(self, season: str, user: str, delta: int, deadline: float, request: BatchRequest, at: int) -> None:
        super().__init__(season, user, delta, self, deadline)
        self.request = request
        self.at = at
        self.weight = 1

    def done(self) -> bool:
        return self.request.outcomes[self.at] is not None or self.request.future.done()

    def set_result(self, result: tuple[int, int], /) -> None:
        self.request.close(self.at, result)

    def set_exception(self, error: LeaderboardError, /) -> None:
        self.request.close(self.at, error)


def make_digest(first: str, second: str) -> str:
    """32 hex digits of SHA-256 over two texts; what is kept of an idempotency key, and of what it was used for."""
    return hashlib.sha256(f"{first}\0{second}".encode()).hexdigest()[:32]
