"""What bench.scale sees of plans and scans: those of service and relay, and a table that is read from end to end."""

from __future__ import annotations

from typing import Any, cast

import pytest
from support.world import World

from bench.system import sequential_scans
from bench.system.sequential_scans import PlannedScan, explain, find_planned_scans, scanned_tables, walk_nodes
from bench.system.stack import Stack
from board.pg.connections import connect
from board.pg.queries import queries
from relay.session import SESSION
from service.submissions.statements import make_session_settings


@pytest.fixture
def world(new_world: World) -> World:
    """Tables without statistics."""
    return new_world


def test_no_hot_statement_reads_all_of_a_table(world: World) -> None:
    # Empty tables without statistics: where the planner likes whole scans most.
    assert find_planned_scans(world.settings.database_url) == []


@pytest.mark.parametrize(
    ("name", "settings", "tables"),
    [
        ("submit", make_session_settings(1.0), {"season", "score", "ledger", "outbox"}),
        ("submit_by_rule", make_session_settings(1.0), {"season", "score", "ledger", "outbox"}),
        ("submit_by_rule_once", make_session_settings(1.0), {"season", "score", "ledger", "outbox"}),
        ("take", dict(SESSION), {"outbox", "score"}),
    ],
)
def test_the_plans_are_those_of_the_statements(
    world: World, name: str, settings: dict[str, str], tables: set[str]
) -> None:
    with connect(world.settings.database_url, "leaderboard-bench", session=settings) as db:
        found = {node.get("Relation Name") for node in walk_nodes(explain(db, name))}
    assert tables <= found


def test_without_the_sessions_settings_a_whole_scan_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"plan_cache_mode": "force_generic_plan", "enable_indexscan": "off", "enable_bitmapscan": "off"}
    monkeypatch.setattr(sequential_scans, "SESSION", free)
    assert PlannedScan("take", "outbox") in find_planned_scans(world.settings.database_url)


def test_a_scan_that_somebody_ran_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequential_scans, "MANY_ROWS", 2)
    stack = cast(Stack, world)
    insert = "INSERT INTO score (period_id, user_id, score, reached, submissions) VALUES (1, %s, 1, 1, 1)"
    for player in ("a", "b", "c"):
        world.db.execute(insert, (player,))
    before = sequential_scans.count_scanned_rows(stack)
    assert sequential_scans.find_large_scans(stack, before) == []
    assert world.value("SELECT sum(score) FROM score") == 3
    (fault,) = sequential_scans.find_large_scans(stack, before)
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
    assert scanned_tables(plan) == ["ledger_20260101"]


def test_every_statement_looked_at_exists() -> None:
    assert {*sequential_scans.SUBMIT_STATEMENTS, *sequential_scans.RELAY_STATEMENTS} <= set(queries())
