"""The connections of a comparison, and its questions to each side."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import psycopg
from psycopg.rows import scalar_row

from _speedups import decode_score
from board.config.settings import Settings
from board.pg.connections import connect
from board.pg.queries import queries
from board.redis.keyspace import Keyspace
from board.redis.sync_redis import ResponseError, SyncRedis
from board.season import RANKINGS, SHARED

APPLICATION: Final = "leaderboard-verify"
PAGE: Final = 5_000
"""Rows of PostgreSQL, or members of a sorted set, in one reply."""

REDIS_TIMEOUT_S: Final = 30.0

Entry = tuple[str, int, int]
"""User id, score, reached. A plain tuple, since there is one for every player on both sides."""


class Standing(NamedTuple):
    """The score of a player, and the number that breaks ties."""

    score: int
    reached: int


class Sides:
    """Two PostgreSQL connections and one Redis connection.

    One PostgreSQL connection holds a partition's claim, so that no relay writes to Redis meanwhile. The other one
    reads from a snapshot that is younger than the claim. Raises `ServerUnreachable`, `BoardUnavailable`.
    """

    def __init__(self, s: Settings, keys: Keyspace) -> None:
        self.keys: Final = keys
        self.claims: Final = connect(s.database_url, APPLICATION, writes=True)
        self.reads: Final = connect(s.database_url, APPLICATION)
        self.reads.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self.scalars: Final = self.reads.cursor(row_factory=scalar_row)
        self.redis: Final = SyncRedis(s.redis_url, APPLICATION, REDIS_TIMEOUT_S, keys=keys)
        self.redis.connect()
        self.sql: Final = queries()
        self.sharing: set[str] = set()
        """The seasons that are held and in which equal rows share a rank."""
        self.identity: Final[str] = self.scalars.execute(self.sql["identity"]).fetchone() or ""

    def close(self) -> None:
        """Close all three connections."""
        for connection in (self.claims, self.reads):
            connection.close()
        self.redis.close()

    @contextmanager
    def hold(self, partition: int) -> Iterator[dict[str, int]]:
        """Hold the partition's claim and one snapshot during the block; yields period ids by season id."""
        with self.claims.transaction():
            self.claims.execute("SELECT FROM partition WHERE id = %s FOR UPDATE", (partition,))
            with self.reads.transaction():
                rows = self.reads.execute(self.sql["partition_seasons"], {"partition": partition}).fetchall()
                self.sharing = {season for season, _, ranking in rows if ranking == RANKINGS["competition"]}
                yield {season: period for season, period, _ in rows}

    def rankings_agree(self, partition: int, season: str) -> bool:
        """Whether Redis tells the ranking of a season that is held. A release without rankings tells none."""
        key = self.keys.watermark[partition]
        (held,) = self.redis.pipeline(("HMGET", key, "fence", "counted", b"n:" + season.encode()))
        if isinstance(held, ResponseError) or held[0] != held[1]:
            return True
        return (held[2] or b"").endswith(SHARED) == (season in self.sharing)

    def has_hints(self, partition: int) -> bool:
        """Whether hints of the partition wait in the outbox."""
        query = "SELECT EXISTS (SELECT FROM outbox WHERE partition = %s)"
        return bool(self.scalars.execute(query, (partition,)).fetchone())

    def committed_fence(self, partition: int) -> int:
        """The partition's fence in PostgreSQL."""
        return self.scalars.execute("SELECT fence FROM partition WHERE id = %s", (partition,)).fetchone() or 0

    def hinted_users(self, partition: int, period: int) -> set[str | None]:
        """Players of a period with hints in the snapshot; None stands for the period itself."""
        parameters = {"partition": partition, "period": period}
        return set(self.scalars.execute(self.sql["unsettled_users"], parameters).fetchall())

    def postgres_entries(self, period: int) -> Generator[Entry, None, None]:
        """The rows of a period, best first. Close the generator: it holds a cursor."""
        with self.reads.cursor(name="rows") as cursor:
            cursor.itersize = PAGE
            cursor.execute(
                "SELECT user_id, score, reached FROM score WHERE period_id = %s ORDER BY score DESC, reached, user_id",
                (period,),
            )
            yield from cursor

    def redis_entries(self, partition: int, season: bytes) -> Iterator[Entry]:
        """The members of a board, best first; `reached` is -1 where the hash of members says something else.

        Raises `ResponseError`, and ValueError for a member that cannot be decoded.
        """
        board = self.keys.board(partition, season)
        members = self.keys.members(partition, season)
        at = 0
        while True:
            page = self.redis.call("ZRANGE", board, at, at + PAGE - 1, "WITHSCORES")
            if not page:
                return
            found = page[::2]
            prefixes = self.redis.call("HMGET", members, *(member[10:] for member in found))
            for member, zscore, prefix in zip(found, page[1::2], prefixes, strict=True):
                reached = decode_reached(member) if prefix == member[:10] else -1
                yield member[10:].decode("utf-8", "replace"), decode_score(parse_zscore(zscore), member), reached
            at += PAGE

    def sizes_agree(self, partition: int, season: bytes) -> bool:
        """Whether a board and its hash of members have the same number of players."""
        size = self.redis.call("ZCARD", self.keys.board(partition, season))
        members = self.redis.call("HLEN", self.keys.members(partition, season))
        return bool(size == members)

    def postgres_standing(self, period: int, user: str) -> Standing | None:
        """A player's row; None without one."""
        query = "SELECT score, reached FROM score WHERE period_id = %s AND user_id = %s"
        row = self.reads.execute(query, (period, user)).fetchone()
        return None if row is None else Standing(*row)

    def redis_standing(self, partition: int, season: bytes, user: bytes) -> Standing | None:
        """A player's entry; None without one. Raises ValueError for a member that cannot be decoded."""
        prefix = self.redis.call("HGET", self.keys.members(partition, season), user)
        if prefix is None:
            return None
        zscore = self.redis.call("ZSCORE", self.keys.board(partition, season), prefix + user)
        if zscore is None:
            return None
        return Standing(decode_score(parse_zscore(zscore), prefix + user), decode_reached(prefix))

    def scan(self, pattern: bytes, partition: int) -> Iterator[bytes]:
        """Redis' keys that match a glob-style pattern; all of them are of this partition."""
        return self.redis.node_of(self.keys.watermark[partition]).scan(pattern)


def decode_reached(member: bytes) -> int:
    """The tie-break number of a member: bytes 2 to 10, big-endian."""
    return int.from_bytes(member[2:10], "big")


def parse_zscore(zscore: bytes) -> int:
    """A sorted-set score as an integer. Raises ValueError for a fraction."""
    number = float(zscore)
    if not number.is_integer():
        raise ValueError(f"zscore {zscore.decode('ascii', 'replace')} is no integer")
    return int(number)
