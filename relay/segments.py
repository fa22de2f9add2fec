"""Segments: which players of a batch, or of a season, are on which boards of segments.

A batch reads its players' attributes with a statement of its own, after the take. So it sees each profile whose hint
the take, or an earlier one, has found. A rebuild loads the boards of segments beside that of their season.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import msgspec

from board.columns import make_entry
from board.pg.arrays import TextArray
from board.redis.sync_redis import ResponseError
from board.segments import VALUES_MOST, label_segments
from relay.session import RelaySession

PAIRS: Final = 1_000
"""Players of one round of loading."""
COMMANDS: Final = 250
"""Commands of one pipeline."""


class Carried(msgspec.Struct, frozen=True):
    """The segments of the players of one season of a batch: pairs of user id and names, a line for each segment.

    `full` are the attributes with values beyond those that have boards, `left_out` counts the players in such values.
    """

    pairs: list[bytes]
    full: frozenset[str]
    left_out: int


def read_segments(session: RelaySession, row: Any) -> Carried:
    """The segments of a season's players in a batch; `row` is of the query `take`."""
    found = session.fetch("segment_players", period=row.period_id, segments=row.segments, users=TextArray(row.users))
    full = {one.attribute for one in found if one.user_id is None}
    players = [one for one in found if one.user_id is not None]
    fresh = sorted({(one.attribute, one.value) for one in players if not one.has_board and one.attribute not in full})
    added: set[tuple[str, str]] = set()
    if fresh:
        attributes, values = map(list, zip(*fresh, strict=True))
        rows = session.fetch(
            "add_segment_values", period=row.period_id, attributes=attributes, values=values, most=VALUES_MOST
        )
        added = {(one.attribute, one.value) for one in rows}
        full |= {attribute for attribute, value in added if not value}
    names: dict[str, dict[str, str]] = {}
    left_out = 0
    for one in players:
        if one.has_board or (one.attribute, one.value) in added:
            names.setdefault(one.user_id, {})[one.attribute] = one.value
        else:
            left_out += 1
    pairs: list[bytes] = []
    for user, values_of in names.items():
        held = (
            f"{attribute}:{values_of[attribute]}" for attribute in row.segments.split(",") if attribute in values_of
        )
        pairs += (user.encode(), "\n".join(held).encode())
    return Carried(pairs, frozenset(full), left_out)


def hint_segments(session: RelaySession, players: str) -> list[int]:
    """Leave hints for the rows of players, one a line, whose profiles' hints were taken; returns their partitions."""
    return [one.partition for one in session.fetch("hint_segments", users=players.split("\n"))]


def load_segments(session: RelaySession, partition: int, row: Any, label: bytes) -> bytes:
    """Load the boards of a season's segments into temporary keys; returns the label of the season's board.

    `row` is of the query `partition_seasons`, in whose transaction this is. The values with the most players get
    boards.
    """
    session.execute("forget_segment_values", period=row.period_id)
    chosen = session.fetch("choose_segment_values", period=row.period_id, segments=row.segments, most=VALUES_MOST)
    season, keys, redis = row.season_id.encode(), session.keys, session.redis
    held, numbers = keys.loaded_segments(partition, season), keys.loaded_numbers(partition, season)
    redis.call("SADD", keys.temporary[partition], held, numbers)
    players: dict[bytes, int] = {}
    for page in read_pages(session, row):
        entries: dict[bytes, list[Any]] = {}
        names: list[str] = []
        for user, score, reached, columns, of in page:
            zscore, prefix = make_entry(score, reached, columns or b"")
            names += (user, of)
            for segment in of.encode().split(b"\n"):
                entries.setdefault(segment, []).extend((zscore, prefix + user.encode()))
        commands: list[tuple[Any, ...]] = [("HSET", held, *names)]
        boards = {segment: keys.loaded_segment(partition, season, segment) for segment in entries}
        commands.append(("SADD", keys.temporary[partition], *boards.values()))
        commands += [("ZADD", boards[segment], *pairs) for segment, pairs in entries.items()]
        for at in range(0, len(commands), COMMANDS):
            for reply in redis.pipeline(*commands[at : at + COMMANDS]):
                if isinstance(reply, ResponseError):
                    raise reply
        for segment, pairs in entries.items():
            players[segment] = players.get(segment, 0) + len(pairs) // 2
        session.beat.give()
    counts = [text for segment, number in players.items() for text in (segment, number)]
    for at in range(0, len(counts), 2 * PAIRS):
        redis.call("HSET", numbers, *counts[at : at + 2 * PAIRS])
    return label_segments(label, row.segments, {one.attribute for one in chosen})


def read_pages(session: RelaySession, row: Any) -> Iterator[list[Any]]:
    """The rows of a season whose players are in segments, in pages."""
    with closing(session.db.cursor(name="segments")) as cursor:
        cursor.execute(session.sql["segmented_rows"], {"period": row.period_id, "segments": row.segments})
        while page := cursor.fetchmany(PAIRS):
            yield page
