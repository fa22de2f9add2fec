"""One partition of PostgreSQL compared with Redis: watermark, seasons, boards, profiles.

Boards are compared position by position, so order counts. Both sides are read in pages: memory stays bounded, unless
there are differences to name.
"""

from __future__ import annotations

from contextlib import closing
from itertools import zip_longest
from typing import Final, NamedTuple

from board.redis.sync_redis import ResponseError
from board.season import order_of, turn
from ctl.comparison.difference import Differences
from ctl.comparison.profiles import compare_hinted, compare_profiles
from ctl.comparison.segments import compare_segments
from ctl.comparison.sides import Sides

PROFILES: Final = ""
"""In the place of a season: profiles, which belong to none."""
TEMPORARY: Final = (b"tz:", b"th:", b"tg:", b"tv:", b"ts:")
"""Beginnings of the keys of a rebuild in progress."""


class Unsettled(NamedTuple):
    """A player with a hint; `user` is None for a hint about the period itself."""

    season: str
    user: str | None


class PartitionComparison:
    """One partition; `run` compares it once, `run_unsettled` compares again the players that had hints then.

    `seasons` and `players` count the compared ones. `unsettled` are the players that had hints each time.
    """

    def __init__(self, sides: Sides, partition: int) -> None:
        self.sides: Final = sides
        self.partition: Final = partition
        self.differences: Final = Differences()
        self.seasons = 0
        self.players = 0
        self.unsettled: set[Unsettled] = set()

    def run(self, only: str | None = None) -> None:
        """Compare watermark, set of seasons and every board, or the board of `only` one season."""
        with self.sides.hold(self.partition) as seasons:
            if only is not None and only not in seasons:
                self.differences.add(only, "", "there is no such season in PostgreSQL")
                return
            self.compare_watermark()
            self.compare_seasons(seasons, only)
            for season, period in seasons.items():
                if only is None or season == only:
                    self.compare_board(season, period)
            if only is None:
                hinted = compare_profiles(self.sides, self.partition, self.differences)
                self.unsettled |= {Unsettled(PROFILES, user) for user in hinted}

    def run_unsettled(self) -> None:
        """Compare the unsettled players that have no hint any more."""
        with self.sides.hold(self.partition) as periods:
            new_periods = {season for season, user in self.unsettled if user is None}
            players = {user for season, user in self.unsettled if season == PROFILES and user is not None}
            if players:
                left = compare_hinted(self.sides, self.partition, players, self.differences)
                self.unsettled -= {Unsettled(PROFILES, user) for user in players - left}
            for season in {season for season, _ in self.unsettled} - {PROFILES}:
                hinted = self.sides.hinted_users(self.partition, periods[season])
                if season in new_periods:
                    if None not in hinted:
                        self.unsettled = {each for each in self.unsettled if each.season != season}
                        self.compare_board(season, periods[season])
                    continue
                hinted |= self.sides.changing_profiles() if season in self.sides.segments else set()
                settled = [u for s, u in self.unsettled if s == season and u is not None and u not in hinted]
                self.compare_players(season, periods[season], settled)
                compare_segments(self.sides, self.partition, season, periods[season], hinted, self.differences)
                self.unsettled -= {Unsettled(season, user) for user in settled}

    def compare_watermark(self) -> None:
        """Redis' fence is not below the committed one, and its identity names this PostgreSQL."""
        committed = self.sides.committed_fence(self.partition)
        key = self.sides.keys.watermark[self.partition]
        (watermark,) = self.sides.redis.pipeline(("HMGET", key, "fence", "identity"))
        if isinstance(watermark, ResponseError):
            self.differences.add("", "", f"the watermark cannot be read: {watermark}")
            return
        fence, identity = watermark
        if fence is None:
            if committed:
                self.differences.add("", "", "no watermark", committed, None)
        elif not fence.isdigit() or int(fence) < committed:
            self.differences.add("", "", "fence is behind", committed, _text(fence))
        elif identity != self.sides.identity.encode():
            self.differences.add("", "", "another identity", self.sides.identity, identity and _text(identity))

    def compare_seasons(self, seasons: dict[str, int], only: str | None) -> None:
        """Redis has the same seasons in the same periods and, unless `only` one season is compared, no other keys."""
        key = self.sides.keys.periods[self.partition]
        (fields,) = self.sides.redis.pipeline(("HGETALL", key))
        if isinstance(fields, ResponseError):
            self.differences.add("", "", f"the periods cannot be read: {fields}")
            fields = []
        periods = dict(zip(fields[::2], fields[1::2], strict=True))
        for season, period in seasons.items():
            redis_period = periods.pop(season.encode(), None)
            if only is not None and season != only:
                continue
            if redis_period != b"%d" % period:
                if None in self.sides.hinted_users(self.partition, period):
                    self.unsettled.add(Unsettled(season, None))
                else:
                    self.differences.add(season, "", "period", period, redis_period and _text(redis_period))
        if only is not None:
            return
        for season_id in periods:
            self.differences.add(_text(season_id), "", "season is not in PostgreSQL")
        self.find_stray_keys(seasons)

    def find_stray_keys(self, seasons: dict[str, int]) -> None:
        """Redis has no keys in this partition but those of its seasons and the temporary ones of a rebuild."""
        keys = self.sides.keys
        tag = keys.tag[self.partition]
        expected = {keys.watermark[self.partition], keys.periods[self.partition], keys.temporary[self.partition]}
        expected |= {keys.profiles[self.partition], keys.loaded_profiles[self.partition]}
        for season in map(str.encode, seasons):
            expected |= {keys.board(self.partition, season), keys.members(self.partition, season)}
        for season in map(str.encode, self.sides.segments):
            numbers = keys.numbers(self.partition, season)
            (segments,) = self.sides.redis.pipeline(("HKEYS", numbers))
            expected |= {numbers, keys.segments(self.partition, season)}
            if not isinstance(segments, ResponseError):
                expected |= {keys.segment(self.partition, season, segment) for segment in segments}
        for key in self.sides.scan(tag.replace(b"{", b"\\{").replace(b"[", b"\\[") + b"*", self.partition):
            if key not in expected and not key.startswith(tuple(tag + kind for kind in TEMPORARY)):
                self.differences.add("", "", "stray key", None, _text(key))

    def compare_board(self, season: str, period: int) -> None:
        """Compare one board position by position; players with hints become unsettled."""
        self.seasons += 1
        hinted = self.sides.hinted_users(self.partition, period)
        self.unsettled |= {Unsettled(season, user) for user in hinted if user is not None}
        if Unsettled(season, None) in self.unsettled:
            return
        if not self.sides.labels_agree(self.partition, season):
            self.differences.add(season, "", "ranking or columns")
        try:
            if not self.is_equal(season.encode(), period, hinted):
                self.name_differences(season, period, hinted)
            changing = compare_segments(self.sides, self.partition, season, period, hinted, self.differences)
            self.unsettled |= {Unsettled(season, user) for user in changing}
        except (ResponseError, ValueError) as error:
            self.differences.add(season, "", f"the board cannot be read: {error}")

    def is_equal(self, season: bytes, period: int, hinted: set[str | None]) -> bool:
        """Walk both sides in order, without the players with hints; False at the first difference."""
        # Closed here: the garbage collector may close it while psycopg holds the connection's lock.
        with closing(self.sides.postgres_entries(period)) as rows:
            ours = (row for row in rows if row[0] not in hinted)
            entries = self.sides.redis_entries(self.partition, season, period)
            theirs = (entry for entry in entries if entry[0] not in hinted)
            for row, entry in zip_longest(ours, theirs):
                if row != entry:
                    return False
                self.players += 1
        return self.sides.sizes_agree(self.partition, season)

    def name_differences(self, season: str, period: int, hinted: set[str | None]) -> None:
        """Name the differences of a board that is known to differ. Holds all its rows in memory."""
        # Scores are named as they were submitted.
        order = order_of(period)
        with closing(self.sides.postgres_entries(period)) as rows:
            missing = {row[0]: row for row in rows if row[0] not in hinted}
        before = self.differences.found
        for user, score, reached, columns in self.sides.redis_entries(self.partition, season.encode(), period):
            if user in hinted:
                continue
            if user not in missing:
                self.differences.add(season, user, "not in PostgreSQL", None, turn(score, order))
                continue
            _, expected_score, expected_reached, expected_columns = missing.pop(user)
            if expected_score != score:
                self.differences.add(season, user, "score", turn(expected_score, order), turn(score, order))
            elif expected_columns != columns:
                self.differences.add(season, user, "columns", expected_columns.hex(), columns.hex())
            elif expected_reached != reached:
                self.differences.add(season, user, "tie-break", expected_reached, reached)
        for user, score, *_ in missing.values():
            self.differences.add(season, user, "not in Redis", turn(score, order), None)
        if self.differences.found == before:
            self.differences.add(season, "", "order, or members left in the hash")

    def compare_players(self, season: str, period: int, users: list[str]) -> None:
        """Compare single players."""
        for user in users:
            self.players += 1
            ours = self.sides.postgres_standing(period, user)
            try:
                theirs = self.sides.redis_standing(self.partition, season.encode(), user.encode(), period)
            except ValueError as error:
                self.differences.add(season, user, f"the entry cannot be read: {error}")
                continue
            if ours != theirs:
                order = order_of(period)
                scores = [side and turn(side.score, order) for side in (ours, theirs)]
                self.differences.add(season, user, "score", *scores)


def _text(data: bytes) -> str:
    """Bytes of Redis, for people."""
    return data.decode("utf-8", "replace")
