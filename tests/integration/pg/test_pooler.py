"""PgBouncer: a pool of sessions works, a pool of transactions is refused in one line."""

from __future__ import annotations

import json

import pytest
from support.http import free_port
from support.pgbouncer import pgbouncer
from support.processes import leaderboard, relaying, serving
from support.waiting import eventually
from support.world import World

from ctl.embedded import Embedded


@pytest.mark.parametrize("pool_mode", ["transaction", "statement"])
def test_a_pool_of_transactions_is_refused_in_one_line(servers: Embedded, bare_world: World, pool_mode: str) -> None:
    world, bind = bare_world, f"127.0.0.1:{free_port()}"
    with pgbouncer(servers, world, pool_mode) as url:
        for command in (["migrate"], ["serve", "--quiet"], ["relay"], ["verify"]):
            done = leaderboard(world, *command, DATABASE_URL=url, LEADERBOARD_BIND=bind)
            assert done.returncode == 4, done.stderr
            assert "pool_mode = session" in done.stderr.splitlines()[-1]
            assert "Traceback" not in done.stderr
        findings = json.loads(leaderboard(world, "doctor", "--json", DATABASE_URL=url).stdout)["findings"]
        (found,) = [f for f in findings if f["check"] == "PostgreSQL sessions"]
        assert found["severity"] == "error" and "pool_mode = session" in found["advice"]
    assert world.value("SELECT to_regclass('season') IS NULL")


def test_a_pool_of_sessions_works(servers: Embedded, bare_world: World) -> None:
    world = bare_world
    with pgbouncer(servers, world, "session") as url:
        assert leaderboard(world, "migrate", DATABASE_URL=url).returncode == 0
        with serving(world, DATABASE_URL=url) as api, relaying(world, DATABASE_URL=url), api.client() as http:
            assert [http.post("s", f"p{n}", n + 1).status for n in range(20)] == [202] * 20
            eventually(lambda: world.board("s") == world.expected("s"))
            findings = json.loads(leaderboard(world, "doctor", "--json", DATABASE_URL=url).stdout)["findings"]
            severities = {f["check"]: f["severity"] for f in findings}
            assert severities["PostgreSQL sessions"] == severities["relays"] == "ok"
        done = leaderboard(world, "verify", DATABASE_URL=url)
        assert done.returncode == 0, done.stdout + done.stderr
