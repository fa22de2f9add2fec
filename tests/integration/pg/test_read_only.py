"""A PostgreSQL that accepts no changes for a while: nothing is written or lost, and all heals by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest
from support.http import JSON, bearer
from support.processes import leaderboard, relaying, serving
from support.submitting import problem
from support.waiting import eventually
from support.world import World

Switch = Callable[[World], AbstractContextManager[None]]


@contextmanager
def role_read_only(world: World) -> Iterator[None]:
    """New sessions are read-only, and the sessions that exist end: a failover to a standby looks like it."""
    world.execute(f'ALTER ROLE "{world.name}" SET default_transaction_read_only = on')
    for name in ("intake", "relay", "janitor", "access", "seasons"):
        world.terminate(f"leaderboard-{name}")
    yield
    world.execute(f'ALTER ROLE "{world.name}" RESET default_transaction_read_only')


@contextmanager
def server_read_only(world: World) -> Iterator[None]:
    """The sessions that exist are read-only from now on."""
    with psycopg.connect(world.server_url, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        admin.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            admin.execute("SELECT pg_reload_conf()")
            eventually(lambda: world.value("SHOW default_transaction_read_only") == "off")


def sessions(world: World) -> set[int]:
    """The sessions that change something."""
    query = "SELECT pid FROM pg_stat_activity WHERE usename = current_user AND application_name = ANY (%s)"
    return {pid for (pid,) in world.rows(query, ["leaderboard-intake", "leaderboard-relay", "leaderboard-janitor"])}


@pytest.mark.parametrize("read_only", [role_read_only, server_read_only])
def test_submissions_are_refused_and_all_heals(world: World, read_only: Switch) -> None:
    world.create("s")
    with serving(world) as api, relaying(world) as relays, api.client() as http:
        assert http.post("s", "before", 1).status == 202
        eventually(lambda: [item["userId"] for item in http.top("s").json.get("items", [])] == ["before"])
        before = sessions(world)
        with read_only(world):
            eventually(lambda: http.post("s", "first", 1).status == 503)
            for n in range(10):
                problem(http.post("s", f"refused {n}", 1), 503, "store-unavailable")
            problem(http.delete("s"), 503, "store-unavailable")
            shown = {item["userId"] for item in http.top("s").json["items"]}
            assert {"before"} <= shown <= {"before", "first"}, "reads go on, and show nothing that was refused"
            eventually(lambda: relays.text().count("accepts no changes") + relays.text().count("read-only") >= 2)
            eventually(lambda: not before & sessions(world))
        eventually(lambda: http.post("s", "after", 1).status == 202)
        eventually(lambda: "after" in [item["userId"] for item in http.top("s").json["items"]])
        assert relays.running() and "Traceback" not in relays.text() and "ended with" not in relays.text()
        assert "Traceback" not in api.command.text()
    written = {user for (user,) in world.rows("SELECT user_id FROM ledger")}
    assert {"before", "after"} <= written <= {"before", "first", "after"}


def test_keys_are_known_where_nothing_can_be_changed(world: World) -> None:
    key = world.key()
    with serving(world, LEADERBOARD_AUTH="keys"):
        pass  # It has been started before.
    with role_read_only(world), serving(world, LEADERBOARD_AUTH="keys") as api, api.client() as http:
        eventually(lambda: http.ask("GET", "/v1/keys", None, bearer(key)).status == 200)
        answer = http.ask("POST", "/v1/keys", b'{"name":"x","scopes":["read"]}', JSON | bearer(key))
        problem(answer, 503, "store-unavailable")


@pytest.mark.parametrize(
    "command", [["migrate"], ["verify"], ["rebuild", "--all"], ["key", "create", "--name", "x", "--scopes", "read"]]
)
def test_commands_say_so_in_one_line(world: World, command: list[str]) -> None:
    with role_read_only(world):
        done = leaderboard(world, *command)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "accepts no changes" in done.stderr or "read-only transaction" in done.stderr


def test_the_doctor_says_so(world: World) -> None:
    with role_read_only(world):
        done = leaderboard(world, "doctor", "--json")
    assert "accepts no changes" in done.stdout
