"""The ledger's rows: as long as before where nothing more is told, and with the same columns in every day."""

from __future__ import annotations

import random

import pytest
from support.world import World

from board.pg.queries import queries

PLAIN = ("submission", "period_id", "user_id", "delta", "accepted_at")
ADDED = ("achieved_at", "origin", "run")


@pytest.fixture
def world(new_world: World) -> World:
    """Pages without rows of other tests."""
    return new_world


def columns_of(world: World, table: str) -> list[tuple[str, str]]:
    query = (
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return world.rows(query, table)  # type: ignore[return-value]


def tables_of(world: World) -> list[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ledger'::regclass"
    return [name for (name,) in world.rows(query)]


def last_day(world: World) -> str:
    return max(name for name in tables_of(world) if name != "ledger_default")


def test_a_plain_row_is_as_long_as_before(world: World) -> None:
    """Players of every length: the heads of both rows end where the first column begins."""
    rng = random.Random(7)
    batch = [("s", "p" * rng.randrange(1, 40) + str(n), rng.randrange(1, 10**9)) for n in range(5_000)]
    world.submit(*batch)
    day = world.value("SELECT DISTINCT tableoid::regclass::text FROM ledger")
    for table, columns in (("before", ", ".join(PLAIN)), ("after", "*")):
        # Written anew and row by row: both in the same order, and without room that the submissions left.
        world.execute(f"CREATE TABLE {table} AS SELECT {columns} FROM ledger LIMIT 0")
        world.execute(f"INSERT INTO {table} SELECT {columns} FROM {day}")
    longer = world.value(
        "SELECT count(*) FROM (SELECT submission, pg_column_size(l.*) AS size FROM ledger l) AS l "
        "JOIN (SELECT submission, pg_column_size(b.*) AS size FROM before b) AS b USING (submission) "
        "WHERE l.size <> b.size"
    )
    sizes = [world.value(f"SELECT pg_relation_size('{table}')") for table in ("before", "after", day)]
    assert (longer, sizes[1], sizes[2]) == (0, sizes[0], sizes[0]) and sizes[0] > 0


@pytest.mark.parametrize("name", ["submit", "submit_short"])
def test_the_statements_of_plain_seasons_know_nothing_of_the_added_columns(name: str) -> None:
    for suffix in ("", "_defined"):
        text = queries()[name + suffix].decode()
        assert not any(column in text for column in ADDED)


def test_every_day_has_the_same_columns(world: World) -> None:
    """Days that were there, and days that come: the function of an older release's janitor makes them."""
    wanted = columns_of(world, "ledger")
    assert [name for name, _ in wanted] == [*PLAIN, *ADDED]
    last = last_day(world)
    for table in tables_of(world):
        assert columns_of(world, table) == wanted
    world.execute(f"DROP TABLE {last}")
    assert world.value("SELECT ledger_prepare(9)") == 3
    assert last in tables_of(world)
    for table in tables_of(world):
        assert columns_of(world, table) == wanted


def test_a_row_of_the_default_partition_keeps_all_of_itself_when_its_day_comes(world: World) -> None:
    day = last_day(world)
    world.execute(
        f"DROP TABLE {day}",
        "INSERT INTO ledger VALUES (1, 2, 'ada', 3, now() + interval '7 days', now(), 4, '\\x00')",
    )
    (row,) = world.rows("SELECT *, tableoid::regclass::text FROM ledger")
    assert row[-1] == "ledger_default"
    world.value("SELECT ledger_prepare(7)")
    assert world.rows("SELECT *, tableoid::regclass::text FROM ledger") == [(*row[:-1], day)]
