"""Segments as Redis has them, and as a naive filter of PostgreSQL's rows makes them."""

from __future__ import annotations

import json

from board.partitions import partition_of
from support.world import World, decoded

Rows = list[tuple[str, int, int]]
"""User, score, reached, best first."""


def attributes_of(world: World) -> dict[str, dict[str, str]]:
    """The attributes of all players."""
    return {user: json.loads(text) for user, text in world.rows("SELECT user_id, attributes FROM player")}


def filtered(world: World, season: str) -> dict[str, Rows]:
    """The boards of a season's segments, by segment: those of its rows whose players have the value."""
    names = ",".join(one for (one,) in world.rows("SELECT segments FROM season WHERE season_id = %s", season) if one)
    attributes = attributes_of(world)
    found: dict[str, Rows] = {}
    for row in world.expected(season):
        for name in names.split(","):
            if value := attributes.get(row[0], {}).get(name):
                found.setdefault(f"{name}:{value}", []).append(row)
    return found


def held(world: World, season: str) -> dict[str, Rows]:
    """The boards of a season's segments in Redis, by segment."""
    base = world.keys.segment(partition_of(season), season.encode(), b"")
    escaped = base.replace(b"{", b"\\{")
    found = {}
    for key in world.redis.scan_iter(match=escaped + b"*", count=1_000):
        entries = world.redis.zrange(key, 0, -1, withscores=True)
        found[key.removeprefix(base).decode()] = [decoded(member, zscore) for member, zscore in entries]
    return found


def are_filtered(world: World, *seasons: str) -> bool:
    """Whether the segments of these seasons are those of a naive filter, and all that is noted of them agrees."""
    for season in seasons:
        wanted = filtered(world, season)
        partition, name = partition_of(season), season.encode()
        numbers = world.redis.hgetall(world.keys.numbers(partition, name))
        names = world.redis.hgetall(world.keys.segments(partition, name))
        of_players: dict[str, set[str]] = {}
        for segment, rows in wanted.items():
            for user, _, _ in rows:
                of_players.setdefault(user, set()).add(segment)
        if held(world, season) != wanted:
            return False
        if {key.decode(): int(number) for key, number in numbers.items()} != {
            segment: len(rows) for segment, rows in wanted.items()
        }:
            return False
        if {user.decode(): set(text.decode().split("\n")) for user, text in names.items()} != of_players:
            return False
    return True


def divide(world: World, season: str, segments: str | None) -> None:
    """Give a season these segments, with commas between them, as a change of its definition does."""
    world.create(season)
    with world.db.transaction():
        world.rows("SELECT 1 FROM season WHERE season_id = %s FOR UPDATE", season)
        world.db.execute(
            "INSERT INTO ailing (season_id, partition, reason) "
            "SELECT season_id, partition, 'its segments are loaded' FROM season "
            "WHERE season_id = %(season)s AND segments IS DISTINCT FROM %(segments)s::text "
            "ON CONFLICT (season_id) DO UPDATE SET retry_at = now()",
            {"season": season, "segments": segments},
        )
        world.db.execute(
            "UPDATE season SET segments = %(segments)s WHERE season_id = %(season)s",
            {"season": season, "segments": segments},
        )
