"""Memory: what a player costs Redis, by the server's own count."""

from __future__ import annotations

from bench.rows.figures import Measure, Results
from bench.rows.read import SEASON
from bench.system.redis_memory import used
from bench.system.run_options import Plan
from bench.system.stack import Stack
from board.pg.session import queries
from board.redis.keyspace import partition_of


def measure(plan: Plan) -> Results:
    """``memory``: `plan.players` players with ids of 10 characters in one season, loaded by a rebuild."""
    with plan.stack() as stack:
        before = used(stack)
        fill(stack, plan.players)
        stack.call("rebuild", "--season", SEASON)
        after = used(stack)
        faults = [] if stack.value("SELECT count(*) FROM score") == plan.players else ["not all players were written"]
        with stack.relays():
            faults += stack.unequal()
    figures = {"bytes": (after - before) / plan.players, "players": float(plan.players)}
    yield "memory", Measure(figures, () if faults else ("PostgreSQL and Redis are equal",), tuple(faults))


def fill(stack: Stack, players: int) -> None:
    """Players p000000000, p000000001, …: ten characters each."""
    stack.db.execute(queries()["create_seasons"], {"seasons": [SEASON], "partitions": [partition_of(SEASON)]})
    stack.db.execute(
        "INSERT INTO score (period_id, user_id, score, reached, submissions) "
        "SELECT (SELECT period_id FROM season WHERE season_id = %s), 'p' || lpad(n::text, 9, '0'), "
        "1 + (n * 7919) %% 1000000, n, 1 FROM generate_series(1, %s::bigint) AS n",
        (SEASON, players),
    )
