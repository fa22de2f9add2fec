"""The segments of one season of PostgreSQL compared with Redis.

Each player's segments are compared, and the entry in each of them with that of the season's board. The number of
entries of each segment tells of further ones. So the boards are equal, and memory holds a page of players.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from board.redis.sync_redis import ResponseError
from board.segments import is_carried, name_attributes
from ctl.comparison.difference import Differences
from ctl.comparison.sides import Sides

PAGE: Final = 1_000


def compare_segments(
    sides: Sides, partition: int, season: str, period: int, hinted: Collection[str | None], differences: Differences
) -> set[str]:
    """Compare the segments of a season, without the players that have hints; returns those with hints of profiles."""
    segments = sides.segments.get(season)
    name = season.encode()
    noted, held = sides.redis.call("HMGET", sides.keys.watermark[partition], b"n:" + name, b"s:" + name)
    if not is_carried(noted, held, segments):
        differences.add(season, "", "segments", segments, held and held.decode("utf-8", "replace"))
        return set()
    if segments is None:
        return set()
    changing = sides.changing_profiles()
    unsettled = {user for user in hinted if user is not None} | changing
    try:
        players: dict[bytes, int] = {}
        found = 0
        for page in read_pages(sides, period, segments):
            settled = [(user.encode(), names.encode()) for user, names in page if user not in unsettled]
            found += len(settled)
            for _, names in settled:
                for segment in names.split(b"\n"):
                    players[segment] = players.get(segment, 0) + 1
            compare_page(sides, partition, season, settled, differences)
        # What Redis has of players with hints is no difference, whatever it is.
        others = held_segments(sides, partition, name, sorted(unsettled))
        for names in others:
            for segment in names.split(b"\n"):
                players[segment] = players.get(segment, 0) + 1
        compare_numbers(sides, partition, season, found + len(others), players, differences)
    except ResponseError as error:
        differences.add(season, "", f"the segments cannot be read: {error}")
    return changing


def read_pages(sides: Sides, period: int, segments: str) -> Iterator[list[tuple[str, str]]]:
    """The players of a period who are in segments, with the names of these, in pages."""
    with sides.reads.cursor(name="segments") as cursor:
        cursor.execute(sides.sql["segmented_players"], {"period": period, **name_attributes(segments)})
        while page := cursor.fetchmany(PAGE):
            yield page


def held_segments(sides: Sides, partition: int, season: bytes, users: Sequence[str]) -> list[bytes]:
    """The names of the segments that Redis has of these players, without those who have none."""
    key = sides.keys.segments(partition, season)
    found: list[bytes] = []
    for at in range(0, len(users), PAGE):
        found += filter(None, sides.redis.call("HMGET", key, *users[at : at + PAGE]))
    return found


def compare_page(
    sides: Sides, partition: int, season: str, players: list[tuple[bytes, bytes]], differences: Differences
) -> None:
    """Compare the segments of these players, and their entries."""
    if not players:
        return
    name, keys, redis = season.encode(), sides.keys, sides.redis
    users = [user for user, _ in players]
    held = redis.call("HMGET", keys.segments(partition, name), *users)
    prefixes = redis.call("HMGET", keys.members(partition, name), *users)
    asked: list[tuple[Any, ...]] = []
    for (user, names), prefix in zip(players, prefixes, strict=True):
        member = (prefix or b"") + user
        asked += [("ZSCORE", keys.segment(partition, name, segment), member) for segment in names.split(b"\n")]
        asked.append(("ZSCORE", keys.board(partition, name), member))
    scores = iter(redis.pipeline(*asked))
    for (user, names), of_redis in zip(players, held, strict=True):
        in_segments = [next(scores) for _ in names.split(b"\n")]
        on_board = next(scores)
        if of_redis != names:
            theirs = None if of_redis is None else of_redis.decode("utf-8", "replace")
            differences.add(season, user.decode(), "segments", names.decode(), theirs)
        elif on_board is None or any(score != on_board for score in in_segments):
            differences.add(season, user.decode(), "entry in a segment")


def compare_numbers(
    sides: Sides, partition: int, season: str, players: int, expected: dict[bytes, int], differences: Differences
) -> None:
    """Compare the number of players in segments, and that of each segment: of its board, and the noted one."""
    name, keys = season.encode(), sides.keys
    pairs = sides.redis.call("HGETALL", keys.numbers(partition, name))
    noted = dict(zip(pairs[::2], pairs[1::2], strict=True))
    segments = sorted(expected.keys() | noted.keys())
    commands = [("ZCARD", keys.segment(partition, name, segment)) for segment in segments]
    sizes = sides.redis.pipeline(*commands) if commands else []
    for segment, size in zip(segments, sizes, strict=True):
        wanted = expected.get(segment, 0)
        if size != wanted or noted.get(segment) != b"%d" % wanted:
            differences.add(season, "", f"players of segment {segment.decode('utf-8', 'replace')}", wanted, size)
    size = sides.redis.call("HLEN", keys.segments(partition, name))
    if size != players:
        differences.add(season, "", "players in segments", players, size)
