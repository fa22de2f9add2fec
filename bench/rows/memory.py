"""The row of memory: bytes of a player in Redis, by the count of the server."""

from __future__ import annotations

from bench.rows.figures import Measure, Results
from bench.rows.read import SEASON
from bench.system.redis_memory import read_used_bytes
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from board.partitions import partition_of
from board.pg.queries import queries


def measure(options: RunOptions) -> Results:
    """``memory``: `options.players` players with ids of 10 characters in one season, written by a rebuild."""
    with options.stack() as stack:
        before = read_used_bytes(stack)
        fill_board(stack, options.players)
        stack.run_command("rebuild", "--season", SEASON)
        after = read_used_bytes(stack)
        faults = (
            [] if stack.value("SELECT count(*) FROM score") == options.players else ["not all players were written"]
        )
        with stack.relays():
            faults += stack.find_differences()
    figures = {"bytes": (after - before) / options.players, "players": float(options.players)}
    yield "memory", Measure(figures, () if faults else ("PostgreSQL and Redis are consistent",), tuple(faults))


def fill_board(stack: Stack, players: int) -> None:
    """Write the players p000000001, p000000002, … to PostgreSQL; each id has ten characters."""
    stack.db.execute(queries()["create_seasons"], {"seasons": [SEASON], "partitions": [partition_of(SEASON)]})
    stack.db.execute(
        "INSERT INTO score (period_id, user_id, score, reached, submissions) "
        "SELECT (SELECT period_id FROM season WHERE season_id = %s), 'p' || lpad(n::text, 9, '0'), "
        "1 + (n * 7919) %% 1000000, n, 1 FROM generate_series(1, %s::bigint) AS n",
        (SEASON, players),
    )
