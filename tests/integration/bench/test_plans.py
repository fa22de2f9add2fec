"""What bench.scale sees of plans and scans: those of service and relay, and a table that is read from end to end."""

from __future__ import annotations

from typing import Any, cast

import pytest
from board.pg.connections import connect
from board.pg.queries import queries
from relay.session import SESSION
from support.world import World

from bench import plans, sides
from bench.plans import Scanned, explained, nodes, scans, whole_scans
from bench.stack import Stack
from service.submissions.statements import session


def test_no_hot_statement_reads_all_of_a_table(world: World) -> None:
    # Empty tables without statistics: where the planner likes whole scans most.
    assert whole_scans(world.settings.database_url) == []


@pytest.mark.parametrize(
    ("name", "settings", "tables"),
    [("submit", session(1.0), {"season", "score", "ledger", "outbox"}), ("take", dict(SESSION), {"outbox", "score"})],
)
def test_the_plans_are_those_of_the_statements(
    world: World, name: str, settings: dict[str, str], tables: set[str]
) -> None:
    with connect(world.settings.database_url, "leaderboard-bench", session=settings) as db:
        found = {node.get("Relation Name") for node in nodes(explained(db, name))}
    assert tables <= found


def test_without_the_sessions_settings_a_whole_scan_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"plan_cache_mode": "force_generic_plan", "enable_indexscan": "off", "enable_bitmapscan": "off"}
    monkeypatch.setattr(plans, "SESSION", free)
    assert Scanned("take", "outbox") in whole_scans(world.settings.database_url)


def test_a_scan_that_somebody_ran_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "BIG", 2)
    stack = cast(Stack, world)
    insert = "INSERT INTO score (period_id, user_id, score, reached, submissions) VALUES (1, %s, 1, 1, 1)"
    for player in ("a", "b", "c"):
        world.db.execute(insert, (player,))
    before = sides.read_one_by_one(stack)
    assert sides.read_since(stack, before) == []
    assert world.value("SELECT sum(score) FROM score") == 3
    (fault,) = sides.read_since(stack, before)
    assert fault.startswith("3 rows of score")


def test_days_of_the_ledger_count_as_the_ledger() -> None:
    plan: dict[str, Any] = {
        "Node Type": "Append",
        "Plans": [
            {"Node Type": "Seq Scan", "Relation Name": "ledger_20260101"},
            {"Node Type": "Seq Scan", "Relation Name": "season"},
            {"Node Type": "Index Scan", "Relation Name": "score"},
        ],
    }
    assert scans(plan) == ["ledger_20260101"]


def test_every_statement_looked_at_exists() -> None:
    assert {*plans.WRITES, *plans.CARRIES} <= set(queries())
