"""The connections of a comparison, and its questions to each side."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import psycopg
from psycopg.rows import scalar_row

from board.columns import split_member
from board.config.settings import Settings
from board.pg.connections import connect
from board.pg.queries import queries
from board.redis.keyspace import Keyspace
from board.redis.sync_redis import ResponseError, SyncRedis
from board.season import count_columns, label_of, mark_of

APPLICATION: Final = "leaderboard-verify"
PAGE: Final = 5_000
"""Rows of PostgreSQL, or members of a sorted set, in one reply."""

REDIS_TIMEOUT_S: Final = 30.0
ENTRY: Final = (
    "user_id, score, reached & 9223372036854775807 AS reached, coalesce(columns_of(period_id, columns), '') AS columns"
)
"""The columns of an `Entry`."""

Entry = tuple[str, int, int, bytes]
"""User id, score, reached, packed columns. A plain tuple, since there is one for every player on both sides."""


class Standing(NamedTuple):
    """The score of a player, the number that breaks ties, and the packed columns."""

    score: int
    reached: int
    columns: bytes


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
        self.labels: dict[str, bytes] = {}
        """The ends of the marks that the boards of the held seasons have (`mark_of`)."""
        self.segments: dict[str, str] = {}
        """The attributes that are segments of the held seasons, of those that have some."""
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
                self.labels = {
                    season: mark_of(ranking, columns, number) for season, _, ranking, columns, number, *_ in rows
                }
                self.segments = {season: segments for season, *_, segments in rows if segments is not None}
                yield {season: period for season, period, *_ in rows}

    def labels_agree(self, partition: int, season: str) -> bool:
        """Whether Redis tells ranking and columns of a season that is held. A release without them tells none."""
        key = self.keys.watermark[partition]
        (held,) = self.redis.pipeline(("HMGET", key, "fence", "counted", b"n:" + season.encode()))
        if isinstance(held, ResponseError) or held[0] != held[1]:
            return True
        return label_of(held[2] or b"") == self.labels[season]

    def changing_profiles(self) -> set[str]:
        """Players whose profiles have hints, of any partition: their rows get hints when these are taken."""
        return set(self.scalars.execute(self.sql["profiles_unsettled"]).fetchall())

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
                f"SELECT {ENTRY} FROM shown_score WHERE period_id = %s "
                "ORDER BY score DESC, columns_of(period_id, columns) DESC, shown_score.reached, user_id",
                (period,),
            )
            yield from cursor

    def redis_entries(self, partition: int, season: bytes, period: int) -> Iterator[Entry]:
        """The members of a board, best first; `reached` is -1 where the hash of members says something else.

        Raises `ResponseError`, and ValueError for a member that cannot be decoded.
        """
        columns = count_columns(period)
        board = self.keys.board(partition, season)
        members = self.keys.members(partition, season)
        at = 0
        while True:
            page = self.redis.call("ZRANGE", board, at, at + PAGE - 1, "WITHSCORES")
            if not page:
                return
            found = [split_member(member, columns) for member in page[::2]]
            prefixes = self.redis.call("HMGET", members, *(entry.user for entry in found))
            for entry, zscore, prefix in zip(found, page[1::2], prefixes, strict=True):
                reached = entry.reached if prefix == entry.prefix else -1
                user = entry.user.decode("utf-8", "replace")
                yield user, entry.read_score(parse_zscore(zscore)), reached, entry.columns
            at += PAGE

    def sizes_agree(self, partition: int, season: bytes) -> bool:
        """Whether a board and its hash of members have the same number of players."""
        size = self.redis.call("ZCARD", self.keys.board(partition, season))
        members = self.redis.call("HLEN", self.keys.members(partition, season))
        return bool(size == members)

    def postgres_standing(self, period: int, user: str) -> Standing | None:
        """A player's row; None without one."""
        query = f"SELECT {ENTRY} FROM shown_score WHERE period_id = %s AND user_id = %s"
        row = self.reads.execute(query, (period, user)).fetchone()
        return None if row is None else Standing(*row[1:])

    def redis_standing(self, partition: int, season: bytes, user: bytes, period: int) -> Standing | None:
        """A player's entry; None without one. Raises ValueError for a member that cannot be decoded."""
        prefix = self.redis.call("HGET", self.keys.members(partition, season), user)
        if prefix is None:
            return None
        zscore = self.redis.call("ZSCORE", self.keys.board(partition, season), prefix + user)
        if zscore is None:
            return None
        entry = split_member(prefix + user, count_columns(period))
        return Standing(entry.read_score(parse_zscore(zscore)), entry.reached, entry.columns)

    def postgres_profiles(self, partition: int) -> Iterator[list[tuple[str, str]]]:
        """The profiles of a partition, by player, in pages."""
        after = ""
        while True:
            parameters = {"partition": partition, "after": after, "limit": PAGE}
            page = self.reads.execute(self.sql["partition_profiles"], parameters).fetchall()
            if not page:
                return
            yield page
            after = page[-1][0]

    def postgres_profiles_of(self, partition: int, users: list[str]) -> dict[str, str | None]:
        """The profiles of these players; None for a player without one."""
        rows = self.reads.execute(self.sql["shown_profiles"], {"partition": partition, "users": users}).fetchall()
        return {user: shown or None for user, shown in rows}

    def redis_profiles(self, partition: int, users: Iterable[str]) -> dict[str, str | None]:
        """The profiles of these players; None for a player without one. Raises `ResponseError`."""
        asked = list(users)
        if not asked:
            return {}
        held = self.redis.call("HMGET", self.keys.profiles[partition], *asked)
        shown = [None if text is None else text.decode("utf-8", "replace") for text in held]
        return dict(zip(asked, shown, strict=True))

    def redis_profile_players(self, partition: int) -> list[str]:
        """All players of a partition who have a profile in Redis."""
        return [user.decode("utf-8", "replace") for user in self.redis.call("HKEYS", self.keys.profiles[partition])]

    def redis_profile_sizes(self, partition: int) -> tuple[int, int | None]:
        """The number of profiles, and the noted one; None where a release without profiles has written last.

        Raises `ResponseError`.
        """
        size = self.redis.call("HLEN", self.keys.profiles[partition])
        fence, profiled, noted = self.redis.call(
            "HMGET", self.keys.watermark[partition], "fence", "profiled", "profiles"
        )
        if fence is None or fence != profiled:
            return size, None
        return size, int((noted or b"0").partition(b":")[0])

    def scan(self, pattern: bytes, partition: int) -> Iterator[bytes]:
        """Redis' keys that match a glob-style pattern; all of them are of this partition."""
        return self.redis.node_of(self.keys.watermark[partition]).scan(pattern)


def parse_zscore(zscore: bytes) -> int:
    """A sorted-set score as an integer. Raises ValueError for a fraction."""
    number = float(zscore)
    if not number.is_integer():
        raise ValueError(f"zscore {zscore.decode('ascii', 'replace')} is no integer")
    return int(number)
