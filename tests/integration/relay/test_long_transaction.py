"""A foreign long transaction: nothing can be vacuumed, and yet a relay's statements cost what they cost before."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from support.marks import walks
from support.waiting import eventually
from support.world import World

from board.partitions import PARTITIONS, partition_of
from relay.session import RelaySession

S = partition_of("s")
FIRST, MORE = 500, 2_000
"""Batches before the first look, while indexes grow their levels, and between the two looks."""


@pytest.fixture
def world(new_world: World) -> World:
    """Pages without dead rows of other tests."""
    return new_world


def pages(session: RelaySession, name: str, **parameters: Any) -> int:
    """How many pages PostgreSQL looks at to run a named query in the relay's session. Whatever it did is undone."""
    with session.db.transaction() as transaction:
        query = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + session.sql[name]
        row = session.db.execute(query, parameters).fetchone()
        assert row is not None
        plan = row[0][0]["Plan"]
        raise psycopg.Rollback(transaction)
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.parametrize("limit", walks(1, 2_000))
def test_an_old_snapshot_makes_no_statement_of_a_relay_slower(world: World, limit: int) -> None:
    world.submit(("s", "ada", 1))
    # New statistics between the two looks may change a plan: a scan of these few pages is as good as their index.
    world.execute(*(f"ALTER TABLE {table} SET (autovacuum_enabled = off)" for table in ("partition", "outbox")))
    session = world.session(limit=limit)
    known = {"partition": S, "identity": session.identity}
    all_of_them = {"identity": session.identity, "partitions": PARTITIONS}

    def hint() -> None:
        world.rows(
            "INSERT INTO outbox (partition, period_id, user_id) "
            "SELECT partition, period_id, 'ada' FROM season RETURNING 1"
        )

    def batches(number: int) -> None:
        """What that many batches do to PostgreSQL."""
        for _ in range(number):
            hint()
            with session.db.transaction():
                ((_, low_xid, *_),) = session.fetch("claim", **known)
                fence, _, low_xid, _ = session.fetch("take", partition=S, low_xid=low_xid, limit=limit)[0][:4]
                session.execute("commit_fence", fence=fence, stamp="", low_xid=low_xid, **known)

    def low_mark() -> int:
        return int(world.value("SELECT low_xid::text FROM partition WHERE id = %s", S))

    def looked_at() -> dict[str, int]:
        # Other transactions in progress hold the low mark back, and what came since is walked over: not our matter.
        now = int(world.value("SELECT pg_current_xact_id()::text"))
        eventually(lambda: (batches(1), low_mark() >= now)[1])
        hint()
        low_xid = world.value("SELECT low_xid::text FROM partition WHERE id = %s", S)
        return {
            "claim": pages(session, "claim", **known),
            "take": pages(session, "take", partition=S, low_xid=low_xid, limit=limit),
            "commit_fence": pages(session, "commit_fence", fence=1, stamp="", low_xid=low_xid, **known),
            "pending_partitions": pages(session, "pending_partitions", **all_of_them),
            "partition_fences": pages(session, "partition_fences", **all_of_them),
        }

    with psycopg.connect(world.settings.database_url) as reporter:
        reporter.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reporter.execute("SELECT count(*) FROM score")
        batches(FIRST)
        first = looked_at()
        batches(MORE)
        held = world.value("SELECT pg_relation_size('partition') / 8192")
        assert held > MORE / 100, "every batch has left a version that cannot be removed"
        then = looked_at()
    # Walking over what the batches left would look at all those pages.
    assert all(then[name] <= first[name] + 5 for name in then), (first, then, held)
