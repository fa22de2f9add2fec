"""The worlds of the tests: each is as a new one, also where it has the schema of the one before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from support.marks import thinned
from support.processes import leaderboard, serving
from support.relays import Hand
from support.world import World, world_on
from support.worlds import Worlds

from ctl.embedded import Embedded

RELATIONS = (
    "SELECT relname, relkind = 'S' FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
    "AND relkind IN ('r', 'p', 'S') AND NOT relispartition ORDER BY 1"
)


def content(world: World) -> dict[str, str]:
    """Every row of every table and sequence, but for times and secrets."""
    found = {}
    for name, is_sequence in world.rows(RELATIONS):
        what = "last_value, is_called" if is_sequence else "to_jsonb(t) - 'created_at' - 'applied_at' - 'secret'"
        found[name] = repr(world.rows(f'SELECT {what} FROM "{name}" t ORDER BY 1'))
    return found


def play(world: World) -> None:
    """Write to every part of a world: boards, keys, profiles, periods."""
    world.submit(("s", "ada", 1), ("t", "bob", 2))
    world.define("cup", operator="best")
    world.key()
    world.name_player("ada", "Ada")
    Hand(world).drain()
    world.reset("s")
    with serving(world, "/readyz") as api, api.client() as http:
        assert http.post("s", "ada", 1).status == 202
    assert leaderboard(world, "rebuild", "--all").returncode == 0
    world.execute("DELETE FROM schema_migration WHERE version = 1", "UPDATE cluster SET partitions = 7")


def test_the_next_one_has_the_schema_and_nothing_else_of_the_last(servers: Embedded, worlds: Worlds) -> None:
    with world_on(servers) as fresh:
        wanted = content(fresh)
    names = []
    for _ in range(3):
        with worlds.borrow() as world:
            names.append(world.name)
            assert content(world) == wanted
            assert list(world.redis.scan_iter(match=f"{world.name}:*")) == []
            play(world)
            assert content(world) != wanted
    assert names[0] == names[1] == names[2]


CHANGES: dict[str, Callable[[World], Any]] = {
    "no table": lambda w: w.execute(
        "DO $$ DECLARE one record; BEGIN FOR one IN SELECT relname, relkind FROM pg_class "
        "WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'S') ORDER BY relkind = 'S' "
        "LOOP EXECUTE "
        "format('DROP %s IF EXISTS %I CASCADE', CASE one.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, "
        "one.relname); END LOOP; END $$"
    ),
    "a table more": lambda w: w.execute("CREATE TABLE more (n int)"),
    "a column more": lambda w: w.execute("ALTER TABLE score ADD COLUMN more int"),
    "a default": lambda w: w.execute("ALTER TABLE score ALTER COLUMN score SET DEFAULT 7"),
    "a trigger": lambda w: w.execute(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER nothing BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION nothing()",
    ),
    "a rule": lambda w: w.execute("CREATE RULE none AS ON INSERT TO api_key DO INSTEAD NOTHING"),
    "an index less": lambda w: w.execute("DROP INDEX season_partition"),
    "a right less": lambda w: w.execute(f'REVOKE INSERT ON ledger FROM "{w.name}"'),
    "a setting of the role": lambda w: w.execute(f'ALTER ROLE "{w.name}" SET statement_timeout = 5'),
    "an option of a table": lambda w: w.execute("ALTER TABLE outbox SET (autovacuum_enabled = off)"),
    "much data": lambda w: w.execute(
        "INSERT INTO run_metadata SELECT n, 'ada', n, repeat(md5(n::text), 60) FROM generate_series(1, 3000) n"
    ),
}


@pytest.mark.parametrize("what", thinned(CHANGES, 4))
def test_a_schema_that_was_changed_serves_no_other(worlds: Worlds, what: str) -> None:
    with worlds.borrow() as world:
        CHANGES[what](world)
    with worlds.borrow() as other:
        assert other.name != world.name


def test_the_end_of_the_superusers_connection_ends_no_world(servers: Embedded, worlds: Worlds) -> None:
    assert servers.database_url is not None
    with worlds.borrow() as world:
        ended = worlds._connected().info.backend_pid
        with psycopg.connect(servers.database_url, autocommit=True) as other:
            assert other.execute("SELECT pg_terminate_backend(%s, 10000)", (ended,)).fetchone() == (True,)
        world.submit(("s", "ada", 1))
    with worlds.borrow() as following:
        assert following.name == world.name and following.counts()["score"] == 0


def test_a_schema_in_use_serves_no_other(worlds: Worlds) -> None:
    with worlds.borrow() as world:
        left = psycopg.connect(world.settings.database_url)
    with left, worlds.borrow() as other:
        assert other.name != world.name
