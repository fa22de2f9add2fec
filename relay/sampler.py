"""The sampler: finds differences that no watermark shows, such as a key deleted or altered by hand.

It reads without a lock, so it may suspect a season whose hints are still on their way. Every suspicion is confirmed
under the partition's claim, without the players that have hints, before anything is rebuilt.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from board.columns import make_entry
from board.redis.replies import NodeUnavailable, describe, raise_server_error
from board.redis.sync_redis import ResponseError
from board.season import label_of, mark_of
from board.segments import is_carried
from relay.batch import claim
from relay.segment_sampler import confirm_segments, find_odd_segments, has_odd_numbers
from relay.session import RelaySession

SEASONS: Final = 32
PLAYERS: Final = 4
COUNTED: Final = 2_000


class Sampler:
    """Goes through all seasons by name, `SEASONS` at each look."""

    def __init__(self, randomness: random.Random) -> None:
        self.random: Final = randomness
        self.after = ""

    def look(self, session: RelaySession) -> Iterator[tuple[int, str, str]]:
        """Compare the next seasons; yields (partition, season, difference) of those that really differ."""
        seasons = session.fetch("sample_seasons", after=self.after, limit=SEASONS)
        self.after = seasons[-1].season_id if len(seasons) == SEASONS else ""
        if not seasons:
            return
        keys = session.keys
        replies = session.redis.pipeline(
            *(
                command
                for row in seasons
                for command in (
                    ("ZCARD", keys.board(row.partition, row.season_id.encode())),
                    ("HLEN", keys.members(row.partition, row.season_id.encode())),
                    ("HGET", keys.periods[row.partition], row.season_id.encode()),
                    (
                        "HMGET",
                        keys.watermark[row.partition],
                        b"n:" + row.season_id.encode(),
                        b"s:" + row.season_id.encode(),
                    ),
                )
            )
        )
        chosen = self.random.choice(seasons)
        for at, row in enumerate(seasons):
            entries, members, held, notes = replies[4 * at : 4 * at + 4]
            if isinstance(entries, NodeUnavailable):
                continue
            raise_server_error(entries, members, held, notes)
            note, of_segments = (None, None) if isinstance(notes, ResponseError) else notes
            odd = isinstance(entries, ResponseError) or entries != members or held != b"%d" % row.period_id
            odd = (
                odd
                or isinstance(notes, ResponseError)
                or has_other_label(note, mark_of(row.ranking, row.columns, row.period_number))
            )
            odd = odd or row.crowded or not is_carried(note, of_segments, row.segments)
            odd = odd or (entries != row.size if row.size <= COUNTED else entries <= COUNTED)
            users: set[str] = set()
            if row is chosen and row.segments is not None:
                odd = odd or has_odd_numbers(session, row)
            if row is chosen and not odd:
                users = self.odd_players(session, row)
            if (odd or users) and (why := confirm(session, row.partition, row.season_id, users)):
                yield row.partition, row.season_id, why

    def odd_players(self, session: RelaySession, row: Any) -> set[str]:
        """Random players of a season whose entry, or whose segments, differ from their row."""
        partition, season = row.partition, row.season_id
        members = session.keys.members(partition, season.encode())
        fields: list[bytes] = session.redis.call("HRANDFIELD", members, PLAYERS)
        names = [field.decode("utf-8", "replace") for field in fields]
        if not names:
            return set()
        rows = rows_of(session, row.period_id, names)
        users = sorted(set(names) | rows.keys())
        odd = {user for user, same in compare(session, partition, season, users, rows) if not same}
        return odd if row.segments is None else odd | find_odd_segments(session, partition, row, users)


def has_other_label(note: Any, label: bytes) -> bool:
    """Whether the note of a board tells another ranking, or other columns, than the season's label (`mark_of`).

    A missing note tells of none.
    """
    return not isinstance(note, ResponseError) and label_of(note or b"") != label


def rows_of(session: RelaySession, period: int, users: list[str]) -> dict[str, tuple[int, int, bytes]]:
    """(score, version, columns) of these players, and of the next ones by name after the first of them."""
    rows = session.fetch("sample_players", period=period, users=users, after=users[0])
    return {row.user_id: (row.score, row.reached, row.columns or b"") for row in rows}


def compare(
    session: RelaySession, partition: int, season: str, users: list[str], rows: dict[str, tuple[int, int, bytes]]
) -> Iterator[tuple[str, bool]]:
    """Yields (player, True if the entry in Redis is exactly that of the row)."""
    board = session.keys.board(partition, season.encode())
    members = session.keys.members(partition, season.encode())
    if not users:
        return
    held: list[bytes | None] = session.redis.call("HMGET", members, *(user.encode() for user in users))
    prefixes = [prefix or b"" for prefix in held]
    scores: list[Any] = session.redis.pipeline(
        *(("ZSCORE", board, prefix + user.encode()) for user, prefix in zip(users, prefixes, strict=True))
    )
    for user, prefix, zscore in zip(users, prefixes, scores, strict=True):
        row = rows.get(user)
        if row is None:
            yield user, not prefix and zscore is None
        else:
            expected, wanted = make_entry(*row)
            yield user, prefix == wanted and zscore is not None and float(zscore) == expected


def confirm(session: RelaySession, partition: int, season: str, users: set[str], *, count: bool = True) -> str | None:
    """The difference, read under the claim; empty if there is none, None if it cannot be known now.

    With `count` the players in PostgreSQL are counted, too. Raises `psycopg.errors.SerializationFailure`.
    """
    # Counting millions of players takes long.
    with session.beat.waiting(), session.snapshot():
        if claim(session, partition) is None:
            return None
        rows_now = session.fetch("season_now", season=season)
        if not rows_now or rows_now[0].aside:
            return ""
        period = rows_now[0].period_id
        hints = {row.user_id for row in session.fetch("unsettled_users", partition=partition, period=period)}
        if None in hints:
            return None
        name = season.encode()
        entries, members, shown, held = session.redis.pipeline(
            ("ZCARD", session.keys.board(partition, name)),
            ("HLEN", session.keys.members(partition, name)),
            ("HGET", session.keys.periods[partition], name),
            ("HMGET", session.keys.watermark[partition], "fence", "counted", b"n:" + name),
        )
        raise_server_error(entries, members, shown, held)
        if isinstance(held, ResponseError) or held[0] is None:
            return ""  # the whole partition is lost: the check of the watermarks finds that
        for reply in (entries, members, shown):
            if isinstance(reply, ResponseError):
                return describe(reply)
        if shown != b"%d" % period:
            return f"period {shown!r}"
        if entries != members:
            return f"{entries} entries, {members} members"
        if held[1] == held[0] and held[2] is not None and not held[2].startswith(b"%d:%d:" % (entries, period)):
            return f"{entries} entries, noted are {held[2]!r}"
        # Without its label a board with columns cannot be read: whoever has written last.
        label = mark_of(rows_now[0].ranking, rows_now[0].columns, rows_now[0].period_number)
        if (held[1] == held[0] or rows_now[0].columns) and has_other_label(held[2], label):
            return f"another rule is noted: {held[2]!r}"
        if count and not hints:
            players = session.value("count_players", period=period)
            if players != entries:
                return f"{players} players, {entries} entries"
        settled = sorted(users - hints)
        if why := confirm_segments(session, partition, season, rows_now[0], settled, count=count and not hints):
            return why
        if settled:
            rows = rows_of(session, period, settled)
            for user, same in compare(session, partition, season, settled, rows):
                if not same:
                    return f"player {user!r}"
    return ""
