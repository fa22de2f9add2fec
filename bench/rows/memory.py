"""The rows of memory: bytes of a player in Redis, and in a segment, by the count of the server."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from bench.rows.figures import Measure, Results
from bench.rows.read import SEASON
from bench.rows.segmented import ATTRIBUTE, give_attributes
from bench.system.redis_memory import read_used_bytes
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from board.partitions import partition_of
from board.pg.queries import queries

NAMES: Final = ("memory", "memory_segment")
COUNTRIES: Final = 200
"""Values of the attribute that divides the season."""


def measure(options: RunOptions, wanted: Collection[str]) -> Results:
    """``memory``: `options.players` players with ids of 10 characters in one season, written by a rebuild.

    ``memory_segment``: what each costs further, when all of them are in one of `COUNTRIES` segments.
    """
    with options.stack() as stack:
        before = read_used_bytes(stack)
        fill_board(stack, options.players)
        stack.run_command("rebuild", "--season", SEASON)
        segmented = after = read_used_bytes(stack)
        if "memory_segment" in wanted:
            fill_segments(stack)
            stack.run_command("rebuild", "--season", SEASON)
            segmented = read_used_bytes(stack)
        faults = (
            [] if stack.value("SELECT count(*) FROM score") == options.players else ["not all players were written"]
        )
        values = min(COUNTRIES, options.players) if "memory_segment" in wanted else 0
        if stack.value("SELECT count(*) FROM segment_value") != values:
            faults.append("not all segments were written")
        stack.run_command("rebuild", "--all")
        with stack.relays():
            faults += stack.find_differences()
    checks = () if faults else ("PostgreSQL and Redis are consistent",)
    for name, used in zip(NAMES, (after - before, segmented - after), strict=True):
        if name in wanted:
            figures = {"bytes": used / options.players, "players": float(options.players)}
            yield name, Measure(figures, checks, tuple(faults))


def fill_board(stack: Stack, players: int) -> None:
    """Write the players p000000001, p000000002, … to PostgreSQL; each id has ten characters."""
    stack.db.execute(queries()["create_seasons"], {"seasons": [SEASON], "partitions": [partition_of(SEASON)]})
    stack.db.execute(
        "INSERT INTO score (period_id, user_id, score, reached, submissions) "
        "SELECT (SELECT period_id FROM season WHERE season_id = %s), 'p' || lpad(n::text, 9, '0'), "
        "1 + (n * 7919) %% 1000000, n, 1 FROM generate_series(1, %s::bigint) AS n",
        (SEASON, players),
    )


def fill_segments(stack: Stack) -> None:
    """Divide the season by country, and give each player one."""
    stack.db.execute("UPDATE season SET segments = %s WHERE season_id = %s", (ATTRIBUTE, SEASON))
    users = stack.db.execute("SELECT user_id FROM score").fetchall()
    give_attributes(stack, {user: str(int(user[-6:]) % COUNTRIES) for (user,) in users})
