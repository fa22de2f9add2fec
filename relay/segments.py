"""Segments: which players of a batch, or of a season, are on which boards of segments.

A batch reads its players' attributes with a statement of its own, after the take. So it sees each profile whose hint
the take, or an earlier one, has found. A rebuild loads the boards of segments beside that of their season.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from _speedups import build_segments
from board.pg.arrays import TextArray
from board.season import count_columns
from board.segments import VALUES_MOST, label_segments, name_attributes
from relay.pieces import PAIRS, send_pieces
from relay.session import RelaySession

COLUMNS: Final = b"h.columns,"
"""What the rows of a season with columns have further."""


class Carried(msgspec.Struct, frozen=True):
    """The segments of the players of one season of a batch: pairs of user id and names, a line for each segment.

    `full` are the attributes with values beyond those that have boards, `left_out` counts the players in such values.
    """

    pairs: list[bytes]
    full: frozenset[str]
    left_out: int


def read_segments(session: RelaySession, row: Any) -> Carried:
    """The segments of a season's players in a batch; `row` is of the query `take`."""
    full, players = fetch_segments(session, row)
    fresh = {
        name for one in players if one.others for name in one.others.split("\n") if name.partition(":")[0] not in full
    }
    if fresh:
        attributes, _, values = zip(*(name.partition(":") for name in sorted(fresh)), strict=True)
        parameters = {"attributes": [*attributes], "values": [*values], "most": VALUES_MOST}
        session.execute("add_segment_values", period=row.period_id, **parameters)
        full, players = fetch_segments(session, row)
    # PERF: two objects for each player.
    pairs = [text.encode() for one in players if one.names for text in (one.user_id, one.names)]
    left_out = sum(one.others.count("\n") + 1 for one in players if one.others)
    return Carried(pairs, frozenset(full), left_out)


def fetch_segments(session: RelaySession, row: Any) -> tuple[set[str], list[Any]]:
    """The attributes with values beyond those that have boards, and the players of a batch in segments."""
    attributes = name_attributes(row.segments)
    found = session.fetch("segment_players", period=row.period_id, users=TextArray(row.users), **attributes)
    return {one.names for one in found if one.user_id is None}, [one for one in found if one.user_id is not None]


def hint_segments(session: RelaySession, players: str) -> list[int]:
    """Leave hints for the rows of players, one a line, whose attributes' hints were taken; returns their partitions."""
    return [one.partition for one in session.fetch("hint_segments", users=players.split("\n"))]


def load_segments(session: RelaySession, partition: int, row: Any, label: bytes) -> bytes:
    """Load the boards of a season's segments into temporary keys; returns the label of the season's board.

    `row` is of the query `partition_seasons`, in whose transaction this is. The values with the most players get
    boards.
    """
    season, keys, redis = row.season_id.encode(), session.keys, session.redis
    parameters = {"period": row.period_id, **name_attributes(row.segments)}
    session.execute("forget_segment_values", period=row.period_id)
    chosen = session.fetch("choose_segment_values", most=VALUES_MOST, **parameters)
    full = {one.attribute for one in chosen if not one.value}
    players = {f"{one.attribute}:{one.value}".encode(): one.players for one in chosen if one.value}
    held, numbers = keys.loaded_segments(partition, season), keys.loaded_numbers(partition, season)
    boards = [keys.loaded_segment(partition, season, segment) for segment in players]
    redis.call("SADD", keys.temporary[partition], held, numbers, *boards)
    if players:
        redis.call("HSET", numbers, *(text for pair in players.items() for text in pair))
    base = keys.loaded_segment(partition, season, b"")
    rows_of = session.sql["segment_rows"].replace(b"{columns}", COLUMNS if count_columns(row.period_id) else b"")
    for _ in send_pieces(session, base, rows_of, parameters, lambda piece: build_segments(base, held, piece, PAIRS)):
        session.beat.give()
    return label_segments(label, row.segments, full)
