"""Periods and events in `leaderboard status` and in the gauges of the database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from support.periods import GRID, end_now, keeper_of
from support.processes import leaderboard
from support.world import World

from board.periods import find_history
from board.pg.queries import queries
from board.pg.steps import run_steps
from board.status import PeriodStatus, describe_periods
from relay.exporter import Database
from relay.metrics import PERIODS


def read(world: World) -> PeriodStatus:
    """What the command tells, which is also what the gauges show."""
    done = leaderboard(world, "status", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["periods"]
    database = Database(world.settings.database_url)
    gauges = {metric.name: sample.value for metric, samples in database() for sample in samples}
    assert database.db is not None
    database.db.close()
    for column, metric in PERIODS.items():
        if not column.endswith("_s"):
            assert gauges[metric.name] == found[column], column
        else:
            # Read a moment later.
            assert found[column] <= gauges[metric.name] <= found[column] + 60 and bool(found[column]) == bool(
                gauges[metric.name]
            )
    return PeriodStatus(**found)


@contextmanager
def keeping(world: World) -> Iterator[None]:
    """The lock of a keeper at work."""
    with psycopg.connect(world.settings.database_url, autocommit=True) as db:
        assert db.execute(queries()["try_keeper"]).fetchone() == (True,)
        yield


def test_nothing_is_wrong_at_first(world: World) -> None:
    with keeping(world):
        found = read(world)
        assert found == PeriodStatus(True, 0, 0, 0, 0, 0, 0, 0, 0)
        assert describe_periods(found) == [("keeper at work", False)]


def test_a_keeper_is_told_by_its_lock(world: World) -> None:
    assert not read(world).keeper
    with psycopg.connect(world.settings.database_url, autocommit=True) as db:
        # The lock of the keeper of another schema.
        db.execute("SELECT pg_advisory_lock(hashtextextended('leaderboard keeper another', 0))")
        assert not read(world).keeper
    with keeping(world):
        assert read(world).keeper
    assert describe_periods(read(world))[0][1]


def test_ends_without_a_turn_and_periods_without_ranks(world: World) -> None:
    for season in ("s", "t"):
        world.define(season, operator="best", schedule=GRID, graceS=60)
    assert read(world).overdue == 0
    end_now(world, "s", "now() - interval '90 seconds'")
    found = read(world)
    assert found.overdue == 1 and 90 <= found.overdue_s < 150 and (found.closing, found.unclosed_s) == (0, 0)
    assert [wrong for text, wrong in describe_periods(found) if "overdue" in text] == [True]
    keeper = keeper_of(world)
    assert keeper.turn_seasons(world.db) == 1
    found = read(world)
    assert (found.overdue, found.overdue_s, found.closing, found.events) == (0, 0, 1, 1)
    assert 30 <= found.unclosed_s < 90, "the grace ended half a minute ago"
    end_now(world, "t")
    keeper.turn_seasons(world.db)
    found = read(world)
    assert found.closing == 2 and found.unclosed_s >= 30
    keeper.close_periods(world.db)
    found = read(world)
    # That of `t` is in its grace.
    assert (found.closing, found.unclosed_s, found.events) == (1, 0, 3)


def test_a_season_after_its_only_end_is_not_overdue(world: World) -> None:
    world.define("s", operator="best", schedule={"endsAt": "2999-01-01T00:00:00Z"})
    end_now(world, "s")
    assert read(world).overdue == 1
    keeper_of(world).turn_seasons(world.db)
    assert read(world).overdue == 0


def write_event(world: World, count: int = 1) -> None:
    history = run_steps(world.db, find_history())
    world.rows(
        "INSERT INTO event (history, kind, season_id, period, data) "
        "SELECT %s, 'period.ended', 's', n, '{}' FROM generate_series(1, %s) AS n RETURNING 1",
        history, count)  # fmt: skip


def test_events_are_counted_and_dated(world: World) -> None:
    write_event(world)
    world.execute("UPDATE event SET at = now() - interval '2 days'")
    write_event(world, 9_999)
    found = read(world)
    assert found.events == 10_000 and 172_800 <= found.oldest_event_s < 172_860
    assert ("10,000 events, the oldest of 2.0 days ago", False) in describe_periods(found)
    write_event(world, 10)
    found = read(world)
    assert found.events == 10_001
    assert ("more than 10,000 events, the oldest of 2.0 days ago", False) in describe_periods(found)


def test_an_event_behind_an_older_transaction_is_told(world: World) -> None:
    write_event(world)
    with psycopg.connect(world.settings.database_url) as older:
        older.execute("SELECT pg_current_xact_id()")
        write_event(world, 2)
        world.execute("UPDATE event SET at = now() - interval '90 seconds'")
        found = read(world)
        assert found.held_back == 2 and 90 <= found.held_back_s < 150
        assert [wrong for text, wrong in describe_periods(found) if "held back" in text] == [True]
    found = read(world)
    assert (found.events, found.held_back, found.held_back_s) == (3, 0, 0)


def test_events_of_an_earlier_history_are_not_held_back(world: World) -> None:
    """A restored dump: numbers of its transactions may be above all of this cluster."""
    write_event(world)
    world.execute("UPDATE event SET xid = '4611686018427387904'", "UPDATE history SET identity = 'another:00000001'")
    assert read(world).held_back == 0
