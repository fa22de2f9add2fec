"""A submission in the intake, and its outcome."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any, Final, Protocol

import msgspec

from board.digests import make_digest
from board.errors import LeaderboardError, StoreUnavailable


class QueueFull(StoreUnavailable):
    """The queue is full; nothing was written."""

    code = "overloaded"


class ScoreOutOfRange(LeaderboardError):
    """The player's score plus delta leaves int64; nothing was written."""

    code = "score-out-of-range"


class WrongOperator(LeaderboardError):
    """The season's operator takes the other one of delta and score; nothing was written."""

    code = "wrong-operator"


class OutOfBounds(LeaderboardError):
    """The submission is outside the season's bounds; nothing was written."""

    code = "score-out-of-bounds"


class SeasonNotOpen(LeaderboardError):
    """The season opens later; nothing was written."""

    code = "season-not-open"


class PlayerBanned(LeaderboardError):
    """The player is banned in the season; nothing was written."""

    code = "player-banned"


class SeasonClosed(LeaderboardError):
    """The season's last period has ended; nothing was written."""

    code = "period-closed"


class AchievedLater(LeaderboardError):
    """The submission says that it was achieved later than now; nothing was written."""

    code = "invalid-achieved-at"


class PeriodNotFound(LeaderboardError):
    """The season has had no period of the number that the submission names; nothing was written."""

    code = "period-not-found"


class PeriodExpired(LeaderboardError):
    """The period that the submission names is not kept any more; nothing was written."""

    code = "period-expired"


class SeasonNotDefined(LeaderboardError):
    """The season was never defined, and the server takes submissions to defined ones only; nothing was written."""

    code = "season-not-found"


class KeyReused(LeaderboardError):
    """The idempotency key was used for another submission; nothing was written."""

    code = "idempotency-key-reused"


Counted = tuple[int, int, int | None, bool | None, int | None, str | None]
"""(score, version, previous, improved, period, skipped) of a submission that counts. `previous` is the score before,
None where there was none. `improved` is None in a season that adds up, `period` in one without a schedule. `skipped` is
JSON: the fed seasons that refused it; None: none did."""

Outcome = Counted | LeaderboardError
"""The figures of a submission that counts, or the error of one that does not."""


class Promise(Protocol):
    """The part of a future's interface that the intake uses."""

    def done(self) -> bool: ...

    def set_result(self, result: Counted, /) -> None: ...

    def set_exception(self, error: LeaderboardError, /) -> None: ...


class Extras(msgspec.Struct, frozen=True, gc=False):
    """The parts of a submission that the ledger keeps beside its number.

    `key_id` is the id of the key that it came with (`Caller.key_id`), `client_version` what the client tells of itself,
    or empty. `metadata` is JSON in the form that is kept, or None. `columns` are pairs of name and value, by name.
    `achieved` is the time of the run in microseconds since 1970, `period` the number of the period that it is for;
    0: not told.
    """

    key_id: str = ""
    client_version: str = ""
    metadata: str | None = None
    columns: tuple[tuple[str, int], ...] = ()
    achieved: int = 0
    period: int = 0

    @property
    def origin(self) -> tuple[str, str]:
        """Who submitted: the key, and the version of the client."""
        return self.key_id, self.client_version

    @property
    def by_rule(self) -> bool:
        """Whether the statement of plain seasons cannot write them. It writes no key: plain rows stay short."""
        return self.metadata is not None or bool(self.client_version) or bool(self.columns) or self.is_placed

    @property
    def is_placed(self) -> bool:
        """Whether they tell which period the submission belongs to."""
        return self.achieved != 0 or self.period != 0


NO_EXTRAS: Final = Extras()


@lru_cache(4_096)
def extras_of_key(key_id: str) -> Extras:
    """The extras of submissions that have nothing but their key. PERF: made once for each key."""
    return Extras(key_id)


class Item:
    """One submission.

    `number` is its `delta`, or its `score` if it is `scored`. `by_rule`: the statement of plain seasons cannot write
    it. `future` gets its figures (`Counted`) or an error. `deadline` is the loop's time in seconds. `digest` and
    `fingerprint` are 32 hex digits each, or None without an idempotency key. `trace` is the `traceparent` for the
    relay, or None.

    `extras` are parts that only the statement by rule writes. `full`: only its longest text writes the item.

    `edge` marks an item that the short statement has not written, since its player is near the end of int64.

    `weight` is the number of items that must go into one statement, from this one on: 1, or all of a batch request.
    """

    weight = 1

    __slots__ = (
        "by_rule",
        "deadline",
        "digest",
        "edge",
        "extras",
        "fingerprint",
        "full",
        "future",
        "number",
        "scored",
        "season",
        "trace",
        "tries",
        "user",
    )

    def __init__(
        self,
        season: str,
        user: str,
        number: int,
        future: Promise,
        deadline: float,
        digest: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self.season = season
        self.user = user
        self.number = number
        self.scored = self.by_rule = self.full = False
        self.future = future
        self.deadline = deadline
        self.digest = digest
        self.fingerprint = fingerprint
        self.tries = 0
        self.trace: str | None = None
        self.edge = False
        self.extras = NO_EXTRAS

    def set_key(self, key: str) -> None:
        """Set the submission's idempotency key."""
        asked = f"score {self.number}" if self.scored else str(self.number)
        if self.extras.by_rule:
            # Without them a fingerprint stays what it was: a retry may come to a newer release.
            asked += f"\0{self.extras.client_version}\0{self.extras.metadata or ''}"
            asked += "".join(f"\0{name}={value}" for name, value in self.extras.columns)
        if self.extras.is_placed:
            asked += f"\0{self.extras.achieved}\0{self.extras.period}"
        self.digest, self.fingerprint = make_digest(self.season, key), make_digest(self.user, asked)

    def fail(self, error: LeaderboardError) -> None:
        """Answer with an error, unless the caller is gone or already answered."""
        if not self.future.done():
            self.future.set_exception(error)


class BatchRequest:
    """The submissions of one request, written by one statement. `future` gets an outcome for each, in order."""

    def __init__(self, future: asyncio.Future[list[Outcome]], size: int) -> None:
        self.future: Final = future
        self.outcomes: Final[list[Any]] = [None] * size
        self.open = size

    def close(self, at: int, outcome: Outcome) -> None:
        """Record the outcome of the submission at an index; the last outcome answers the request."""
        self.outcomes[at] = outcome
        self.open -= 1
        if not self.open and not self.future.done():
            self.future.set_result(self.outcomes)


class BatchItem(Item):
    """One submission of a batch request. PERF: it is its own promise; a future each would double its cost."""

    __slots__ = ("at", "request", "weight")

    def __init__(self, season: str, user: str, number: int, deadline: float, request: BatchRequest, at: int) -> None:
        super().__init__(season, user, number, self, deadline)
        self.request = request
        self.at = at
        self.weight = 1

    def done(self) -> bool:
        return self.request.outcomes[self.at] is not None or self.request.future.done()

    def set_result(self, result: Counted, /) -> None:
        self.request.close(self.at, result)

    def set_exception(self, error: LeaderboardError, /) -> None:
        self.request.close(self.at, error)
