"""The sampler's look at segments: their notes, their numbers of players, and single players."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from board.redis.replies import describe, raise_server_error
from board.redis.sync_redis import ResponseError
from board.segments import is_carried, name_attributes
from relay.session import RelaySession

CROWDED: Final = "values of its segments have no board"
"""No drift: once an hour the values with the most players are chosen anew, while there are more than have boards."""


def find_odd_segments(session: RelaySession, partition: int, row: Any, users: Collection[str]) -> set[str]:
    """Of these players those whose segments, or entries in them, differ. `row` is of a season with segments."""
    if not users:
        return set()
    season, keys = row.season_id.encode(), session.keys
    names = sorted(users)
    attributes = name_attributes(row.segments)
    rows = session.fetch("segment_players", period=row.period_id, users=names, **attributes)
    wanted = {one.user_id: one.names for one in rows if one.user_id is not None and one.names}
    held: list[Any] = session.redis.call("HMGET", keys.segments(partition, season), *names)
    odd = {
        user
        for user, text in zip(names, held, strict=True)
        if (text.decode("utf-8", "replace") if text else None) != wanted.get(user)
    }
    if not wanted:
        return odd
    entries = [(user, segment.encode()) for user, text in wanted.items() for segment in text.split("\n")]
    prefixes = session.redis.call("HMGET", keys.members(partition, season), *wanted)
    prefix_of = dict(zip(wanted, prefixes, strict=True))
    scores = session.redis.pipeline(
        *(
            command
            for user, segment in entries
            for member in ((prefix_of[user] or b"") + user.encode(),)
            for command in (
                ("ZSCORE", keys.segment(partition, season, segment), member),
                ("ZSCORE", keys.board(partition, season), member),
            )
        )
    )
    raise_server_error(*scores)
    return odd | {
        user
        for at, (user, _) in enumerate(entries)
        if scores[2 * at] is None or scores[2 * at] != scores[2 * at + 1] or isinstance(scores[2 * at], ResponseError)
    }


def find_odd_numbers(session: RelaySession, partition: int, season: str, noted: dict[bytes, bytes]) -> str:
    """How a segment has another number of entries than is noted; empty if none has."""
    if not noted:
        return ""
    keys, name = session.keys, season.encode()
    sizes = session.redis.pipeline(*(("ZCARD", keys.segment(partition, name, segment)) for segment in noted))
    raise_server_error(*sizes)
    for (segment, number), size in zip(noted.items(), sizes, strict=True):
        if isinstance(size, ResponseError) or b"%d" % size != number:
            return f"{size} entries in segment {segment.decode('utf-8', 'replace')!r}, noted are {number!r}"
    return ""


def has_odd_numbers(session: RelaySession, row: Any) -> bool:
    """Whether a segment of this season may have another number of entries than is noted: read without a lock."""
    (numbers,) = session.redis.pipeline(("HGETALL", session.keys.numbers(row.partition, row.season_id.encode())))
    raise_server_error(numbers)
    if isinstance(numbers, ResponseError):
        return True
    noted = dict(zip(numbers[::2], numbers[1::2], strict=True))
    return bool(find_odd_numbers(session, row.partition, row.season_id, noted))


def confirm_segments(
    session: RelaySession, partition: int, season: str, row: Any, users: Collection[str], *, count: bool
) -> str:
    """The difference between a season's segments in PostgreSQL and in Redis, under the claim; empty if there is none.

    `row` is of the query `season_now`. None of the `users` has hints. With `count` players in PostgreSQL are counted.
    """
    name, keys = season.encode(), session.keys
    (notes,) = session.redis.pipeline(("HMGET", keys.watermark[partition], b"n:" + name, b"s:" + name))
    raise_server_error(notes)
    if isinstance(notes, ResponseError):
        return describe(notes)
    noted_board, held = notes
    if not is_carried(noted_board, held, row.segments):
        return f"other segments are noted: {held!r}"
    if row.segments is None:
        return ""
    if row.crowded:
        return CROWDED
    (numbers,) = session.redis.pipeline(("HGETALL", keys.numbers(partition, name)))
    raise_server_error(numbers)
    if isinstance(numbers, ResponseError):
        return describe(numbers)
    noted = dict(zip(numbers[::2], numbers[1::2], strict=True))
    if why := find_odd_numbers(session, partition, season, noted):
        return why
    changing = {one.user_id for one in session.fetch("profiles_unsettled")}
    if count and not changing:
        rows = session.fetch("count_segments", period=row.period_id, **name_attributes(row.segments))
        if {one.segment.encode(): b"%d" % one.players for one in rows} != noted:
            return "players of segments"
    odd = find_odd_segments(session, partition, row, {*users} - changing)
    return f"segments of player {min(odd)!r}" if odd else ""
