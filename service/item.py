"""One submission on its way through the intake, and what can be said of it at the end."""

from __future__ import annotations

import asyncio
from typing import Any

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


class Item:
    """`future` gets (score, version) or an error; `digest` and `print` are 32 hex digits, or None without a key."""

    __slots__ = ("deadline", "delta", "digest", "future", "print", "season", "tries", "user")

    def __init__(
        self,
        season: str,
        user: str,
        delta: int,
        future: asyncio.Future[Any],
        deadline: float,
        digest: str | None = None,
        print: str | None = None,
    ) -> None:
        self.season = season
        self.user = user
        self.delta = delta
        self.future = future
        self.deadline = deadline
        self.digest = digest
        self.print = print
        self.tries = 0

    def fail(self, error: LeaderboardError) -> None:
        """Answer with an error, unless the caller is gone or answered."""
        if not self.future.done():
            self.future.set_exception(error)
