"""`/readyz` means that the work of this worker gets done: submissions are committed, boards are read."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.http import Http
from support.processes import Api, serving
from support.trouble import USER, OwnRedis
from support.waiting import eventually
from support.world import World, private, world_on

from ctl.embedded import Embedded, Prefer

SOON = {"LEADERBOARD_PROBE_DEADLINE_MS": "300", "LEADERBOARD_WRITE_DEADLINE_MS": "800"}


def state(http: Http) -> dict[str, Any]:
    """The members of `/readyz` and its status."""
    answer = http.get("/readyz")
    assert (answer.status == 200) == (answer.json["status"] == "ready")
    return {**answer.json, "code": answer.status}


def down(http: Http) -> bool:
    """Whether PostgreSQL alone is told to be down."""
    found = state(http)
    return (found["code"], found["redis"], found["postgres"], found["schema"]) == (503, "ok", "down", "unknown")


def ready(http: Http) -> bool:
    return bool(state(http)["code"] == 200)


@contextmanager
def read_only(world: World) -> Iterator[None]:
    """New sessions may only read, and the old ones have ended."""
    world.execute(f'ALTER ROLE "{world.name}" SET default_transaction_read_only = on')
    end_sessions(world)
    yield
    # This session began before.
    world.execute(f'ALTER ROLE "{world.name}" RESET default_transaction_read_only')
    end_sessions(world)


def end_sessions(world: World) -> None:
    for name in ("intake", "probe"):
        world.terminate(f"leaderboard-{name}")


@contextmanager
def without_rights(world: World) -> Iterator[None]:
    """Submissions may not be written down in the ledger."""
    world.execute(f'REVOKE INSERT ON ledger FROM "{world.name}"')
    yield
    world.execute(f'GRANT INSERT ON ledger TO "{world.name}"')


@contextmanager
def locked(world: World) -> Iterator[None]:
    """A statement of an administrator keeps the scores for itself."""
    with psycopg.connect(world.settings.database_url) as db:
        db.execute("LOCK TABLE score IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize("trouble", [read_only, without_rights, locked], ids=lambda trouble: trouble.__name__)
def test_a_worker_that_cannot_commit_is_not_ready(world: World, trouble: Any) -> None:
    world.create("s")
    world.carry_everything()
    with serving(world, "/readyz", **SOON) as api, api.client() as http:
        assert http.post("s", "ada", 1).status == 202
        with trouble(world):
            eventually(lambda: http.post("s", "ada", 1).status != 202)
            eventually(lambda: down(http))
            assert http.get("/livez").status == 200
        eventually(lambda: ready(http))
        eventually(lambda: http.post("s", "ada", 1).status == 202)
        api.command.until(lambda: "ready: redis ok, postgres ok" in api.command.text())
        assert "not ready: redis ok, postgres down" in api.command.text()


@pytest.fixture
def own_world(prefer_servers: Prefer) -> Iterator[World]:
    """A world with both servers for itself."""
    directory = private(Path(tempfile.mkdtemp(prefix="lb-test-")))
    try:
        with (
            Embedded(
                directory / "data", postgres=True, redis=True, report=print, prefer=prefer_servers, durable=False
            ) as servers,
            world_on(servers) as made,
        ):
            yield made
    finally:
        shutil.rmtree(directory)


@contextmanager
def without_its_standby(world: World) -> Iterator[None]:
    """Commits wait for a synchronous standby that is not there."""
    with psycopg.connect(world.server_url, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        admin.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")


def test_a_commit_that_waits_for_a_standby_is_none(own_world: World) -> None:
    with serving(own_world, "/readyz", **SOON) as api, api.client() as http:
        with without_its_standby(own_world):
            eventually(lambda: down(http))
            for _ in range(10):
                assert down(http)
            waiting = "backend_type = 'client backend' AND wait_event = 'SyncRep'"
            assert own_world.connections("leaderboard-probe", waiting) == 1, "one look for all callers"
        eventually(lambda: ready(http))


def test_a_restart_of_postgresql_while_idle_is_not_told_as_down(world: World) -> None:
    with serving(world, "/readyz") as api, api.client() as http:
        assert ready(http)
        assert world.terminate("leaderboard-probe") == 1
        eventually(lambda: not world.connections("leaderboard-probe"))

        def connected_again() -> bool:
            assert ready(http)
            return world.connections("leaderboard-probe") == 1

        eventually(connected_again)


def test_relays_that_fall_behind_take_no_host_away(world: World) -> None:
    world.submit(("s", "ada", 1))
    with serving(world, "/readyz") as api, api.client() as http:
        assert state(http)["relays"] == "ok", "a young hint"
        world.execute("UPDATE outbox SET queued_at = now() - interval '11 seconds'")
        eventually(lambda: state(http)["relays"] == "behind")
        assert ready(http)
        assert "relays behind (the oldest hint is 1" in api.command.text()
        world.carry_everything()
        eventually(lambda: state(http)["relays"] == "ok")


def test_a_redis_that_cannot_save_is_ready_as_long_as_it_is_read(own_redis: OwnRedis) -> None:
    world = own_redis.world
    world.submit(("s", "ada", 1))
    world.carry_everything()
    with serving(world, "/readyz") as api, api.client() as http, own_redis.trouble("unsaved"):
        assert ready(http)
        assert http.top("s").status == 200
        assert http.post("s", "ada", 1).status == 202


def test_a_user_that_may_not_read_boards_is_not_ready(own_redis: OwnRedis) -> None:
    world = own_redis.world
    with serving(world, "/readyz") as api, api.client() as http:
        world.redis.execute_command("ACL", "SETUSER", USER, "-evalsha_ro")
        assert (http.top("s").status, state(http)["redis"]) == (503, "down")
        assert "Redis refused a command: NOPERM" in api.command.text()
        world.redis.execute_command("ACL", "SETUSER", USER, "+evalsha_ro")
        assert ready(http) and http.top("s").status in (200, 503)


def test_many_callers_share_one_connection(world: World) -> None:
    answers: list[bool] = []

    def call(api: Api) -> None:
        with api.client() as http:
            for _ in range(50):
                answers.append(ready(http))

    with serving(world, "/readyz") as api:
        threads = [threading.Thread(target=call, args=(api,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert world.connections("leaderboard-probe") == 1
    assert answers == [True] * 400
