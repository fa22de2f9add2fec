"""Comparing one partition of PostgreSQL with Redis, exactly.

Two PostgreSQL connections: one holds the partition's claim, so no relay writes to Redis meanwhile; the other reads
from one snapshot taken after that. Boards are compared position by position, so order counts; both streams are read
in pages, so memory stays bounded unless there are differences to name.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import zip_longest
from typing import Any, Final

import msgspec
import psycopg

from _speedups import decode_score
from board.config.settings import Settings
from board.pg.session import connect, queries
from board.redis.keyspace import Keys
from board.redis.sync_redis import Link, ResponseError

PAGE: Final = 5_000
NAMED_MOST: Final = 1_000
LINK_TIMEOUT_S: Final = 30.0

Row = tuple[str, int, int]
"""User id, score, reached."""


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not equal. `user` is empty where it concerns the season as a whole."""

    season: str
    user: str
    what: str
    postgres: Any = None
    redis: Any = None


class Side:
    """The connections of a comparison."""

    def __init__(self, s: Settings, keys: Keys) -> None:
        self.keys: Final = keys
        self.claims: Final = connect(s.database_url, "leaderboard-verify")
        self.reads: Final = connect(s.database_url, "leaderboard-verify")
        self.reads.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self.link: Final = Link(s.redis_url, "leaderboard-verify", LINK_TIMEOUT_S)
        self.sql: Final = queries()
        row = self.reads.execute(self.sql["identity"]).fetchone()
        self.identity: Final = str(row[0]) if row else ""

    def close(self) -> None:
        """Let go of everything."""
        for connection in (self.claims, self.reads):
            connection.close()
        self.link.close()

    def pending(self, partition: int) -> bool:
        """Whether hints wait."""
        query = "SELECT EXISTS (SELECT FROM outbox WHERE partition = %s)"
        row = self.reads.execute(query, (partition,)).fetchone()
        return bool(row and row[0])


class Comparison:
    """One partition. `run` compares it; `look_again` looks once more at the players who had hints."""

    def __init__(self, side: Side, partition: int) -> None:
        self.side: Final = side
        self.partition: Final = partition
        self.seasons = 0
        self.players = 0
        self.found = 0
        self.differences: list[Difference] = []
        self.unsettled: set[tuple[str, str | None]] = set()

    def differ(self, season: str, user: str, what: str, postgres: Any = None, redis: Any = None) -> None:
        """Note a difference; only the first ones are kept, all are counted."""
        self.found += 1
        if len(self.differences) < NAMED_MOST:
            self.differences.append(Difference(season, user, what, postgres, redis))

    def run(self, only: str | None = None) -> None:
        """Compare the watermark, the set of seasons, and every board (or one season's)."""
        side = self.side
        with side.claims.transaction():
            side.claims.execute("SELECT FROM partition WHERE id = %s FOR UPDATE", (self.partition,))
            with side.reads.transaction():
                seasons = dict(
                    side.reads.execute(side.sql["partition_seasons"], {"partition": self.partition}).fetchall()
                )
                if only is not None and only not in seasons:
                    self.differ(only, "", "there is no such season in PostgreSQL")
                    return
                self.watermark()
                self.season_set(seasons, only)
                for season, period in seasons.items():
                    if only is None or season == only:
                        self.board(season, period)

    def watermark(self) -> None:
        """The fence in Redis is not below the committed one, and of the same PostgreSQL."""
        row = self.side.reads.execute("SELECT fence FROM partition WHERE id = %s", (self.partition,)).fetchone()
        (held,) = self.side.link.pipeline(("HMGET", self.side.keys.watermark[self.partition], "fence", "identity"))
        if isinstance(held, ResponseError):
            self.differ("", "", f"the watermark cannot be read: {held}")
            return
        fence, identity = held
        committed = row[0] if row else 0
        if fence is None:
            if committed:
                self.differ("", "", "no watermark", committed, None)
        elif not fence.isdigit() or int(fence) < committed:
            self.differ("", "", "fence is behind", committed, fence.decode("utf-8", "replace"))
        elif identity != self.side.identity.encode():
            self.differ(
                "", "", "another identity", self.side.identity, identity and identity.decode("utf-8", "replace")
            )

    def season_set(self, seasons: dict[str, int], only: str | None) -> None:
        """Redis knows the same seasons in the same periods, and holds no board beside them."""
        keys, link = self.side.keys, self.side.link
        (held,) = link.pipeline(("HGETALL", keys.periods[self.partition]))
        if isinstance(held, ResponseError):
            self.differ("", "", f"the periods cannot be read: {held}")
            held = []
        periods = dict(zip(held[::2], held[1::2], strict=True))
        for season, period in seasons.items():
            theirs = periods.pop(season.encode(), None)
            if only is not None and season != only:
                continue
            if theirs != b"%d" % period:
                pending = self.hints(period)
                if None in pending:
                    self.unsettled.add((season, None))
                else:
                    self.differ(season, "", "period", period, theirs and theirs.decode("utf-8", "replace"))
        if only is not None:
            return
        for season_id in periods:
            self.differ(season_id.decode("utf-8", "replace"), "", "season is not in PostgreSQL")
        tag = keys.tag[self.partition]
        expected = {keys.watermark[self.partition], keys.periods[self.partition], keys.temporary[self.partition]}
        expected |= {
            key
            for s in seasons
            for key in (keys.board(self.partition, s.encode()), keys.members(self.partition, s.encode()))
        }
        for key in self.scan(tag.replace(b"{", b"\\{").replace(b"[", b"\\[") + b"*"):
            if key not in expected and not key.startswith((tag + b"tz:", tag + b"th:")):
                self.differ("", "", "stray key", None, key.decode("utf-8", "replace"))

    def scan(self, pattern: bytes) -> Iterator[bytes]:
        """Keys that match."""
        cursor = b"0"
        while True:
            cursor, found = self.side.link.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1_000)
            yield from found
            if cursor == b"0":
                return

    def hints(self, period: int) -> set[str | None]:
        """Players of a period with hints in the snapshot; None stands for the period itself."""
        rows = self.side.reads.execute(
            self.side.sql["unsettled_users"], {"partition": self.partition, "period": period}
        )
        return {row[0] for row in rows}

    def board(self, season: str, period: int) -> None:
        """One board, position by position, and its hash of members."""
        self.seasons += 1
        hints = self.hints(period)
        self.unsettled |= {(season, user) for user in hints if user is not None}
        if (season, None) in self.unsettled:
            return
        name = season.encode()
        try:
            if not self.in_step(name, period, hints):
                self.name_differences(season, period, hints)
        except (ResponseError, ValueError) as error:
            self.differ(season, "", f"the board cannot be read: {error}")

    def in_step(self, season: bytes, period: int, hints: set[str | None]) -> bool:
        """Walk both sides in order; False at the first step that differs."""
        # Closed here and not by the garbage collector, which may strike while psycopg holds the connection's lock.
        with closing(self.rows(period)) as rows:
            mine = (row for row in rows if row[0] not in hints)
            theirs = (row for row in self.entries(season) if row[0] not in hints)
            for ours, held in zip_longest(mine, theirs):
                if ours != held:
                    return False
                self.players += 1
        size = self.side.link.call("ZCARD", self.side.keys.board(self.partition, season))
        members = self.side.link.call("HLEN", self.side.keys.members(self.partition, season))
        return bool(size == members)

    def rows(self, period: int) -> Generator[Row, None, None]:
        """PostgreSQL's side, best first."""
        with self.side.reads.cursor(name="rows") as cursor:
            cursor.itersize = PAGE
            cursor.execute(
                "SELECT user_id, score, reached FROM score WHERE period_id = %s ORDER BY score DESC, reached, user_id",
                (period,),
            )
            yield from cursor

    def entries(self, season: bytes) -> Iterator[Row]:
        """Redis' side, best first; an entry whose hash does not name it shows with a `reached` of -1."""
        board = self.side.keys.board(self.partition, season)
        members = self.side.keys.members(self.partition, season)
        at = 0
        while True:
            page = self.side.link.call("ZRANGE", board, at, at + PAGE - 1, "WITHSCORES")
            if not page:
                return
            found = page[::2]
            prefixes = self.side.link.call("HMGET", members, *(member[10:] for member in found))
            for member, zscore, prefix in zip(found, page[1::2], prefixes, strict=True):
                reached = int.from_bytes(member[2:10], "big") if prefix == member[:10] else -1
                yield member[10:].decode("utf-8", "replace"), decode_score(whole(zscore), member), reached
            at += PAGE

    def name_differences(self, season: str, period: int, hints: set[str | None]) -> None:
        """The slow way, for a board known to differ: who is missing, who should not be there, who has what."""
        mine = {user: (score, reached) for user, score, reached in self.rows(period) if user not in hints}
        before = self.found
        for user, score, reached in self.entries(season.encode()):
            if user in hints:
                continue
            expected = mine.pop(user, None)
            if expected is None:
                self.differ(season, user, "not in PostgreSQL", None, score)
            elif expected[0] != score:
                self.differ(season, user, "score", expected[0], score)
            elif expected[1] != reached:
                self.differ(season, user, "tie-break", expected[1], reached)
        for user, (score, _) in mine.items():
            self.differ(season, user, "not in Redis", score, None)
        if self.found == before:
            self.differ(season, "", "order, or members left in the hash")

    def look_again(self) -> None:
        """Players who had hints: those that have none now must be equal now."""
        side = self.side
        with side.claims.transaction():
            side.claims.execute("SELECT FROM partition WHERE id = %s FOR UPDATE", (self.partition,))
            with side.reads.transaction():
                seasons = dict(
                    side.reads.execute(side.sql["partition_seasons"], {"partition": self.partition}).fetchall()
                )
                fresh = {season for season, user in self.unsettled if user is None}
                for season in {season for season, _ in self.unsettled}:
                    hints = self.hints(seasons[season])
                    if season in fresh:
                        if None not in hints:
                            self.unsettled = {pair for pair in self.unsettled if pair[0] != season}
                            self.board(season, seasons[season])
                        continue
                    settled = [u for s, u in self.unsettled if s == season and u is not None and u not in hints]
                    self.players_now(season, seasons[season], settled)
                    self.unsettled -= {(season, user) for user in settled}

    def players_now(self, season: str, period: int, users: list[str]) -> None:
        """Compare single players."""
        board = self.side.keys.board(self.partition, season.encode())
        members = self.side.keys.members(self.partition, season.encode())
        for user in users:
            self.players += 1
            query = "SELECT score, reached FROM score WHERE period_id = %s AND user_id = %s"
            mine = self.side.reads.execute(query, (period, user)).fetchone()
            prefix = self.side.link.call("HGET", members, user.encode())
            zscore = None if prefix is None else self.side.link.call("ZSCORE", board, prefix + user.encode())
            theirs = None
            if prefix is not None and zscore is not None:
                try:
                    score = decode_score(whole(zscore), prefix + user.encode())
                except ValueError as error:
                    self.differ(season, user, f"the entry cannot be read: {error}")
                    continue
                theirs = (score, int.from_bytes(prefix[2:10], "big"))
            if mine != theirs:
                self.differ(season, user, "score", mine and mine[0], theirs and theirs[0])


def whole(zscore: bytes) -> int:
    """A sorted-set score as the whole number it has to be. Raises ValueError."""
    number = float(zscore)
    if not number.is_integer():
        raise ValueError(f"zscore {zscore.decode('ascii', 'replace')} is no whole number")
    return int(number)
