"""Migrations: applied once by however many callers, checked before anything runs, never changed afterwards."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import psycopg
import pytest
from support.processes import leaderboard
from support.world import World

from board.errors import WrongSchemaVersion
from board.pg import schema
from ctl.output import find_program_name


@pytest.fixture
def connection(bare_world: World) -> Iterator[psycopg.Connection[object]]:
    yield bare_world.db


def test_migrations_are_numbered_from_one_and_no_number_is_twice() -> None:
    # A gap is a number that was given to work not yet here; `migrate` applies it when it comes.
    numbers = [step.version for step in schema.migrations()]
    assert numbers[0] == 1 and numbers == sorted(set(numbers))
    steps = schema.migrations()
    assert schema.required() == max(step.version for step in steps if step.stage == "pre")


def test_migrate_twice(bare_world: World) -> None:
    said: list[str] = []
    assert schema.migrate(bare_world.db, said.append) == [step.version for step in schema.migrations()]
    assert len(said) == len(schema.migrations())
    assert schema.migrate(bare_world.db, said.append) == []
    schema.check(bare_world.db)


def test_concurrent_callers_agree(bare_world: World) -> None:
    applied: list[list[int]] = []
    start = threading.Barrier(5)

    def migrate() -> None:
        with psycopg.connect(bare_world.settings.database_url, autocommit=True) as db:
            start.wait(20)
            applied.append(schema.migrate(db, lambda text: None))

    threads = [threading.Thread(target=migrate) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(applied) == [[]] * 4 + [[step.version for step in schema.migrations()]]
    schema.check(bare_world.db)


def test_two_schemas_of_one_database_do_not_know_each_other(world: World, bare_world: World) -> None:
    schema.check(world.db)
    with pytest.raises(WrongSchemaVersion, match="no leaderboard schema"):
        schema.check(bare_world.db)


def test_a_changed_migration_is_refused(world: World) -> None:
    world.rows("UPDATE schema_migration SET checksum = 'other' WHERE version = 1 RETURNING 1")
    with pytest.raises(WrongSchemaVersion, match="migration 0001 in the database is not the one of this release"):
        schema.migrate(world.db, lambda text: None)
    # The lock is given back all the same.
    assert world.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()") == 0


def test_a_failing_migration_leaves_nothing(bare_world: World) -> None:
    bare_world.execute("CREATE TABLE season (nothing int)")
    with pytest.raises(psycopg.errors.DuplicateTable):
        schema.migrate(bare_world.db, lambda text: None)
    assert bare_world.value("SELECT to_regclass('partition') IS NULL")
    bare_world.execute("DROP TABLE season")
    assert schema.migrate(bare_world.db, lambda text: None)


def test_an_older_schema_is_refused_and_a_newer_one_is_not(world: World) -> None:
    world.rows("INSERT INTO schema_migration (version, name, checksum) VALUES (9999, 'future', 'x') RETURNING 1")
    schema.check(world.db)
    schema.migrate(world.db, lambda text: None)
    world.rows("DELETE FROM schema_migration WHERE version = 1 RETURNING 1")
    with pytest.raises(WrongSchemaVersion, match="run `leaderboard migrate`"):
        schema.check(world.db)


def test_another_number_of_partitions_is_refused(world: World) -> None:
    world.rows("UPDATE cluster SET partitions = 32 RETURNING 1")
    with pytest.raises(WrongSchemaVersion, match="made for 32 partitions, this release has 64"):
        schema.check(world.db)


def test_the_command(bare_world: World) -> None:
    first = leaderboard(bare_world, "migrate", "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout) == {
        "applied": [step.version for step in schema.migrations()],
        "required": schema.required(),
        "newer": [],
    }
    second = leaderboard(bare_world, "migrate")
    assert second.returncode == 0 and "up to date" in second.stderr + second.stdout


def test_migrations_of_a_newer_release_are_named(world: World) -> None:
    """After a roll-back the older release says what it does not know, and leaves it alone."""
    world.rows("INSERT INTO schema_migration (version, name, checksum) VALUES (9999, 'future', 'x') RETURNING 1")
    said = leaderboard(world, "migrate")
    assert said.returncode == 0
    assert "the database has migrations of a newer release, which stay: 9999_future" in said.stdout + said.stderr
    assert json.loads(leaderboard(world, "migrate", "--json").stdout)["newer"] == ["9999_future"]
    examined = leaderboard(world, "doctor", "--json").stdout
    assert f"version {schema.required()}; 9999_future of a newer release" in examined


@pytest.mark.parametrize("command", [["serve"], ["relay"], ["verify"], ["rebuild", "--all"], ["status"]])
def test_without_the_schema_every_command_ends_with_4(bare_world: World, command: list[str]) -> None:
    done = leaderboard(bare_world, *command, LEADERBOARD_BIND="127.0.0.1:1")
    if command == ["serve"]:
        done = leaderboard(bare_world, *command, LEADERBOARD_BIND="127.0.0.1:48099")
    assert done.returncode == 4, done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"leaderboard: the database has no leaderboard schema; run `{find_program_name()} migrate`"
    )


def test_a_changed_migration_ends_the_command_with_4(world: World) -> None:
    world.rows("UPDATE schema_migration SET checksum = 'other' WHERE version = 1 RETURNING 1")
    done = leaderboard(world, "migrate", "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["code"] == "wrong-schema-version"
