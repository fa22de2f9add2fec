"""The session is the program's own: settings of role, database, URL and environment decide nothing that it needs."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

import psycopg
import pytest
from support.http import Http
from support.marks import walks
from support.processes import leaderboard, relaying, serving
from support.waiting import eventually
from support.world import World

from board.pg.connections import PINNED, connect, connect_async

ODD: Final = {
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "statement_timeout": "31s",
    "lock_timeout": "32s",
    "idle_in_transaction_session_timeout": "33s",
    "idle_session_timeout": "34s",
    "transaction_timeout": "35s",
    "standard_conforming_strings": "off",
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Tokyo",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
}
"""For each setting that is pinned, another value, which a role may have."""


def alter_role(world: World, settings: dict[str, str]) -> None:
    """Give the world's role settings; those that this version of PostgreSQL lacks are left out."""
    known = {name for (name,) in world.rows("SELECT lower(name) FROM pg_settings")}
    for name, value in settings.items():
        if name.lower() in known:
            world.execute(f"ALTER ROLE \"{world.name}\" SET {name} = '{value}'")


def read_settings(db: psycopg.Connection[Any], *names: str) -> dict[str, str]:
    """Settings of a session as PostgreSQL says them; those that it lacks are left out."""
    query = "SELECT name, current_setting(name) FROM pg_settings WHERE lower(name) = ANY (%s)"
    found = {name.lower(): value for name, value in db.execute(query, ([name.lower() for name in names],))}
    return {name: found[name.lower()] for name in names if name.lower() in found}


def expected(db: psycopg.Connection[Any]) -> dict[str, str]:
    return {name: value for name, value in PINNED.items() if name in read_settings(db, *PINNED)}


def test_every_pinned_setting_is_tried() -> None:
    assert ODD.keys() == PINNED.keys()
    assert not ODD.items() & PINNED.items()


def test_the_roles_settings_decide_nothing(world: World) -> None:
    alter_role(world, ODD)
    with psycopg.connect(world.settings.database_url) as other:
        assert read_settings(other, "statement_timeout")["statement_timeout"] == "31s", "the role has them"
    with connect(world.settings.database_url, "leaderboard-test") as db:
        assert read_settings(db, *PINNED) == expected(db)
        assert len(expected(db)) >= len(PINNED) - 1

    async def ask() -> dict[str, str]:
        connection = await connect_async(
            world.settings.database_url, "leaderboard-test", session={"lock_timeout": "7s"}
        )
        try:
            query = "SELECT name, current_setting(name) FROM pg_settings WHERE lower(name) = ANY (%s)"
            rows = await (await connection.execute(query, ([name.lower() for name in PINNED],))).fetchall()
        finally:
            await connection.close()
        return {name.lower(): value for name, value in rows}

    with connect(world.settings.database_url, "leaderboard-test") as db:
        wanted = {name.lower(): value for name, value in expected(db).items()}
    assert asyncio.run(ask()) == wanted | {"lock_timeout": "7s"}


def test_variables_of_libpq_decide_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere -c statement_timeout=31s")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    monkeypatch.setenv("PGAPPNAME", "mine")
    # Without options: the role's own search path leads to the schema of its name.
    url = world.settings.database_url.partition("&options=")[0]
    with connect(url, "leaderboard-test") as db:
        assert read_settings(db, *PINNED) == expected(db)
        row = db.execute("SELECT current_schema(), current_setting('application_name')").fetchone()
    assert row == (world.name, "leaderboard-test")


UNKNOWN: Final = {
    "PGDATESTYLE": "nonsense",
    "PGTZ": "Nowhere/Else",
    "PGGEQO": "maybe",
    "PGOPTIONS": "-c nonsense=1",
    "PGCLIENTENCODING": "nonsense",
    "PGHOSTADDR": "nonsense",
}
"""Values for which PostgreSQL or libpq would refuse a session."""


@pytest.mark.walk
def test_variables_with_unknown_values_break_nothing(world: World) -> None:
    with serving(world, **UNKNOWN) as api, relaying(world, **UNKNOWN), api.client() as http:
        assert http.post("s", "ada", 1).status == 202
        eventually(lambda: [item["userId"] for item in http.top("s").json.get("items", [])] == ["ada"])
        eventually(lambda: http.get("/readyz").status == 200)
    done = leaderboard(world, "verify", **UNKNOWN)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [["serve", "--quiet"], ["verify"], *walks(["migrate"], ["relay"])])
def test_variables_that_no_connection_can_have_are_refused_in_one_line(world: World, command: list[str]) -> None:
    done = leaderboard(world, *command, PGSSLMODE="nonsense")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("leaderboard: ")]
    assert 'invalid sslmode value: "nonsense"' in line and "Traceback" not in done.stderr
    found = leaderboard(world, "doctor", "--json", PGSSLMODE="nonsense").stdout
    assert "invalid sslmode value" in found


def test_the_system_works_for_a_role_with_odd_settings(world: World) -> None:
    """Encoding, isolation level and the rest, under concurrent submissions for one player."""
    alter_role(world, ODD)
    each, number = 25, 8
    with serving(world, LEADERBOARD_WORKERS="2") as api, relaying(world):
        statuses: list[int] = []

        def client(http: Http) -> None:
            with http:
                statuses.extend(http.post("s", "żółw", 1).status for _ in range(each))

        threads = [threading.Thread(target=client, args=(api.client(),)) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [202] * each * number
        with api.client() as http:
            assert http.post("ש", "ada", 1).status == 202
            eventually(lambda: [item["score"] for item in http.top("s").json.get("items", [])] == [each * number])
            eventually(lambda: http.top("ש").status == 200)
            assert http.delete("ש").status == 200
        done = leaderboard(world, "verify")
        assert done.returncode == 0, done.stdout + done.stderr
    assert [user for user, _, _ in world.expected("s")] == ["żółw"]


@pytest.mark.walk
def test_a_rebuild_takes_longer_than_the_roles_statements_may(world: World) -> None:
    world.create("s")
    world.execute(
        "INSERT INTO score SELECT period_id, 'p' || n, n, n, 1 FROM season, generate_series(1, 300000) AS n",
        "DELETE FROM outbox",
    )
    alter_role(world, {"statement_timeout": "200ms", "idle_in_transaction_session_timeout": "200ms"})
    done = leaderboard(world, "rebuild", "--all")
    assert done.returncode == 0, done.stderr
    done = leaderboard(world, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.redis.zcard(world.keys.board(world.value("SELECT partition FROM season"), b"s")) == 300_000
