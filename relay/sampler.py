"""The slow sampler: finds what no watermark tells of, a key deleted or altered by hand, a member gone.

It looks without a lock and so may suspect a season that is only on its way; a suspicion is confirmed under the
partition's claim, leaving out players with hints, before anything is rebuilt.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from _speedups import encode_entry
from board.redis.sync_redis import ResponseError
from relay.carrier import Carrier

SEASONS: Final = 32
PLAYERS: Final = 4
COUNTED: Final = 2_000


class Sampler:
    """Walks through all seasons by name, a few at each look."""

    def __init__(self, randomness: random.Random) -> None:
        self.random: Final = randomness
        self.after = ""

    def look(self, carrier: Carrier) -> Iterator[tuple[int, str, str]]:
        """Compare the next seasons; yields (partition, season, what differs) of those that really differ."""
        seasons = carrier.fetch("sample_seasons", after=self.after, limit=SEASONS)
        self.after = seasons[-1][0] if len(seasons) == SEASONS else ""
        if not seasons:
            return
        keys = carrier.keys
        replies = carrier.link.pipeline(
            *(
                command
                for season, partition, _, _ in seasons
                for command in (
                    ("ZCARD", keys.board(partition, season.encode())),
                    ("HLEN", keys.members(partition, season.encode())),
                    ("HGET", keys.periods[partition], season.encode()),
                )
            )
        )
        chosen = self.random.choice(seasons)[0]
        for at, (season, partition, period, size) in enumerate(seasons):
            entries, members, held = replies[3 * at : 3 * at + 3]
            odd = isinstance(entries, ResponseError) or entries != members or held != b"%d" % period
            odd = odd or (entries != size if size <= COUNTED else entries <= COUNTED)
            users: set[str] = set()
            if season == chosen and not odd:
                users = self.odd_players(carrier, partition, season, period)
            if (odd or users) and (why := confirm(carrier, partition, season, users)):
                yield partition, season, why

    def odd_players(self, carrier: Carrier, partition: int, season: str, period: int) -> set[str]:
        """Players, at random, whose entries do not look like their rows."""
        members = carrier.keys.members(partition, season.encode())
        fields: list[bytes] = carrier.link.call("HRANDFIELD", members, PLAYERS)
        names = [field.decode("utf-8", "replace") for field in fields]
        if not names:
            return set()
        rows = rows_of(carrier, period, names)
        everybody = sorted(set(names) | rows.keys())
        return {user for user, same in compare(carrier, partition, season, everybody, rows) if not same}


def rows_of(carrier: Carrier, period: int, users: list[str]) -> dict[str, tuple[int, int]]:
    """Score and reached of these players and of the next ones by name."""
    rows = carrier.fetch("sample_players", period=period, users=users, after=users[0])
    return {user: (score, reached) for user, score, reached in rows}


def compare(
    carrier: Carrier, partition: int, season: str, users: list[str], rows: dict[str, tuple[int, int]]
) -> Iterator[tuple[str, bool]]:
    """(player, whether Redis holds exactly what the row says)."""
    board = carrier.keys.board(partition, season.encode())
    members = carrier.keys.members(partition, season.encode())
    if not users:
        return
    held: list[bytes | None] = carrier.link.call("HMGET", members, *(user.encode() for user in users))
    prefixes = [prefix or b"" for prefix in held]
    scores: list[Any] = carrier.link.pipeline(
        *(("ZSCORE", board, prefix + user.encode()) for user, prefix in zip(users, prefixes, strict=True))
    )
    for user, prefix, zscore in zip(users, prefixes, scores, strict=True):
        row = rows.get(user)
        if row is None:
            yield user, not prefix and zscore is None
        else:
            expected, wanted = encode_entry(*row)
            yield user, prefix == wanted and zscore is not None and float(zscore) == expected


def confirm(carrier: Carrier, partition: int, season: str, users: set[str]) -> str:
    """What really differs, looked at under the claim; empty if nothing does, or if nobody can tell just now."""
    with carrier.snapshot():
        if not carrier.fetch("claim", partition=partition, identity=carrier.identity):
            return ""
        now = carrier.fetch("season_now", season=season)
        if not now or now[0][1]:
            return ""
        period = now[0][0]
        hints = {row[0] for row in carrier.fetch("unsettled_users", partition=partition, period=period)}
        if None in hints:
            return ""
        name = season.encode()
        entries, members, shown, held = carrier.link.pipeline(
            ("ZCARD", carrier.keys.board(partition, name)),
            ("HLEN", carrier.keys.members(partition, name)),
            ("HGET", carrier.keys.periods[partition], name),
            ("HMGET", carrier.keys.watermark[partition], "fence", "identity"),
        )
        if isinstance(held, ResponseError) or held[0] is None:
            return ""  # the whole partition is lost, which the fence will tell
        for reply in (entries, members, shown):
            if isinstance(reply, ResponseError):
                return str(reply)
        if shown != b"%d" % period:
            return f"period {shown!r}"
        if entries != members:
            return f"{entries} entries, {members} members"
        if not hints:
            count = carrier.fetch("count_players", period=period)[0][0]
            if count != entries:
                return f"{count} players, {entries} entries"
        settled = sorted(users - hints)
        if settled:
            rows = rows_of(carrier, period, settled)
            for user, same in compare(carrier, partition, season, settled, rows):
                if not same:
                    return f"player {user!r}"
    return ""
