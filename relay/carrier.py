"""One partition batch: claim, take hints, apply in Redis, commit.

The order of steps is the guarantee. The claim locks the partition's row; the take, a statement of its own with a
younger snapshot, deletes the hints and reads the rows they point at; the script applies absolute rows under a
fence drawn for this attempt; only then the deletion is committed. A crash at any point leaves the hints, and
replaying absolute rows is harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any, Final, cast

import msgspec
import psycopg

from board.errors import FenceRefused
from board.observe.metrics import NS
from board.partitions import PARTITIONS
from board.pg.arrays import adapt_arrays
from board.pg.connections import connect
from board.pg.queries import queries
from board.redis.keyspace import Keyspace
from board.redis.scripts import script
from board.redis.sync_redis import ResponseError, SyncRedis

log: Final = logging.getLogger("relay")

SESSION: Final = {
    # Every join of `take` is a look-up by key for a few thousand rows. Statistics of a queue are never right, so
    # the plans that would read whole tables are ruled out.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    # A relay that hangs must not hold its claim, or the vacuum horizon, for ever.
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "5s",
}


class Carried(msgspec.Struct, frozen=True):
    """What one batch did: hints consumed, seasons touched, whether more wait, age of the oldest hint in seconds.

    `lag_s` is that age when Redis had the batch, `redis_ns` what Redis took of it. `traces` are the `traceparent`s of
    what was carried, each with its age in seconds.
    """

    hints: int
    seasons: int
    more: bool
    oldest_s: float
    lag_s: float = 0.0
    redis_ns: int = 0
    traces: tuple[tuple[str, float], ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """What the fence said: ok, lost, identity, ahead or short; and the fence and identity Redis holds."""

    word: str
    fence: int
    identity: str


def verdict_of(reply: list[bytes]) -> Verdict:
    """Decode the answer of ``apply.lua`` and ``swap.lua``."""
    word, fence, identity = reply
    return Verdict(word.decode(), int(fence) if fence.isdigit() else 0, identity.decode("utf-8", "replace"))


class Refused(FenceRefused):
    """Redis refused the batch; carries the `Verdict`. The transaction has been rolled back."""

    def __init__(self, partition: int, verdict: Verdict) -> None:
        super().__init__(f"partition {partition}: Redis refused the batch: {verdict.word}")
        self.partition = partition
        self.verdict = verdict


class Carrier:
    """Owns one PostgreSQL and one Redis connection. Raises `psycopg.OperationalError` and `BoardUnavailable` when
    one of them is lost: throw the carrier away then, and make a new one."""

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        keys: Keyspace,
        *,
        limit: int,
        redis_timeout_s: float,
        traced: bool = False,
    ) -> None:
        self.keys: Final = keys
        self.take: Final = "take_traced" if traced else "take"
        self.limit: Final = limit
        self.link: Final = SyncRedis(redis_url, "leaderboard-relay", redis_timeout_s)
        self.link.connect()
        self.sql: Final = queries()
        self.db: Final = connect(database_url, "leaderboard-relay", session=SESSION)
        adapt_arrays(self.db)
        self.cursor: Final = self.db.cursor(binary=True)
        row = self.db.execute(self.sql["identity"]).fetchone()
        self.identity: Final[str] = cast(Any, row)[0]

    def close(self) -> None:
        """Give up both connections; a claim in hand ends with them."""
        self.db.close()
        self.link.close()

    def fetch(self, name: str, **parameters: Any) -> list[Any]:
        """Run a named query, return its rows."""
        return self.cursor.execute(self.sql[name], parameters or None, prepare=True).fetchall()

    def execute(self, name: str, **parameters: Any) -> None:
        """Run a named query that returns nothing."""
        self.cursor.execute(self.sql[name], parameters, prepare=True)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A REPEATABLE READ transaction: a claim made first in it and everything read later are of one snapshot.

        Claiming a row that somebody committed to after the snapshot raises `psycopg.errors.SerializationFailure`, so
        whoever holds the claim sees what the last holder has written.
        """
        self.db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            with self.db.transaction():
                yield
        finally:
            if not self.db.closed:
                self.db.isolation_level = None

    def dirty(self) -> list[int]:
        """Partitions that have hints, longest unserved first."""
        return [row[0] for row in self.fetch("pending_partitions", identity=self.identity, partitions=PARTITIONS)]

    def carry(self, partition: int, *, check: bool = False) -> Carried | None:
        """Carry one batch; None if another relay holds the partition.

        With `check` Redis is asked even when there is nothing to carry: it writes a first watermark, or tells that
        Redis has lost something. Raises `Refused`.
        """
        with self.db.transaction() as transaction:
            claimed = self.fetch("claim", partition=partition, identity=self.identity)
            if not claimed:
                return None
            committed, low_xid = claimed[0]
            rows = self.fetch(self.take, partition=partition, low_xid=str(low_xid), limit=self.limit)
            fence, hints, low_xid, oldest_s = rows[0][:4]
            traces = rows[0][9] if self.take == "take_traced" else None
            if not hints and not check:
                # Not `raise psycopg.Rollback`: it escapes where the connection is lost before it is rolled back.
                transaction.force_rollback = True
                return Carried(0, 0, False, 0.0)
            taken = perf_counter_ns()
            rows = [row for row in rows if row[4] is not None]
            try:
                verdict = self.apply(partition, fence, committed, rows)
            except ResponseError as error:
                if concerns_all(error) or not rows:
                    raise
                verdict = self.apply_singly(partition, fence, committed, rows)
            redis_ns = perf_counter_ns() - taken
            if verdict.word != "ok":
                raise Refused(partition, verdict)
            self.execute("commit_fence", fence=fence, identity=self.identity, low_xid=low_xid, partition=partition)
            oldest_s = oldest_s or 0.0
            lag_s = oldest_s + redis_ns * NS
            return Carried(
                hints,
                len(rows),
                hints >= self.limit,
                oldest_s,
                lag_s,
                redis_ns,
                told(traces, redis_ns) if traces else (),
            )

    def apply(self, partition: int, fence: int, committed: int, rows: list[Any]) -> Verdict:
        """Send one partition batch through the fenced script."""
        keys = [self.keys.watermark[partition], self.keys.periods[partition]]
        groups = []
        for row in rows:
            season_id, period_id, users, scores, reached = row[4:9]
            season = season_id.encode()
            keys += (self.keys.board(partition, season), self.keys.members(partition, season))
            groups.append(((season, b"%d" % period_id), users, scores, reached))
        head = [b"%d" % fence, b"%d" % committed, self.identity.encode()]
        return verdict_of(self.link.run(script("apply"), keys, head, groups))

    def apply_singly(self, partition: int, fence: int, committed: int, rows: list[Any]) -> Verdict:
        """Redis refused the batch: write each season by itself, and set aside those that are refused again."""
        verdict = Verdict("ok", fence, self.identity)
        for row in rows:
            try:
                verdict = self.apply(partition, fence, committed, [row])
            except ResponseError as error:
                if concerns_all(error):
                    raise
                log.error("season %r is set aside: %s", row[4], error)
                self.execute("set_aside", season=row[4], partition=partition, reason=str(error)[:500])
            if verdict.word != "ok":
                return verdict
        return verdict


def told(traces: str, redis_ns: int) -> tuple[tuple[str, float], ...]:
    """What ``take_traced`` says of traces, with their ages when Redis had the batch."""
    pairs = (one.split("@") for one in traces.split(" "))
    return tuple((parent, float(age_s) + redis_ns * NS) for parent, age_s in pairs)


_CONCERNS_ALL: Final = (
    "OOM ",
    "READONLY",
    "MISCONF",
    "MASTERDOWN",
    "LOADING",
    "BUSY ",
    "NOREPLICAS",
    "NOPERM",
    "CLUSTER",
)


def concerns_all(error: ResponseError) -> bool:
    """True for an error reply that any write would get: memory, disk, role, rights; not this season's own trouble."""
    text = str(error)
    return any(word in text for word in _CONCERNS_ALL)
