"""A role without superuser, made as docs/ops/managed.md shows by a provider's administrator: all works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
import redis
from support.http import Http, free_port
from support.processes import START_S, Command, answers, environment, run
from support.repository import REPOSITORY
from support.waiting import eventually
from support.walk import walk

from ctl.embedded import Embedded

PAGE: Final = (REPOSITORY / "docs" / "ops" / "managed.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CREATE_DATABASE, CREATE_SCHEMA, GRANTS, LOOK = BLOCKS
IDENTITY: Final = ("pg_control_system()", "pg_current_wal_insert_lsn()", "pg_walfile_name(pg_lsn)")


class Managed(msgspec.Struct, frozen=True):
    """A database at a provider: URLs of its superuser, of its administrator and of the leaderboard's role."""

    superuser: str
    administrator: str
    environment: dict[str, str]

    def execute(self, url: str, block: str) -> None:
        """The statements of a block, one by one."""
        with psycopg.connect(url, autocommit=True) as db:
            for statement in block.split(";"):
                if statement.strip():
                    db.execute(statement.encode())


def url_of(server: str, user: str, database: str) -> str:
    return f"postgresql://{user}@/{database}?{urlsplit(server).query}"


@pytest.fixture
def managed(servers: Embedded) -> Iterator[Managed]:
    assert servers.database_url is not None and servers.redis_url is not None
    superuser = servers.database_url
    with psycopg.connect(superuser, autocommit=True) as admin:
        admin.execute("CREATE ROLE provider LOGIN NOSUPERUSER CREATEDB CREATEROLE")
        made = Managed(
            superuser.replace("/leaderboard?", "/leaderboard_managed?"),
            url_of(superuser, "provider", "leaderboard"),
            environment(
                DATABASE_URL=url_of(superuser, "leaderboard_managed", "leaderboard_managed"),
                REDIS_URL=f"{servers.redis_url.partition('?')[0]}?db=5",
                LEADERBOARD_REDIS_PREFIX="managed",
                LEADERBOARD_AUTH="open",
                LEADERBOARD_BIND=f"127.0.0.1:{free_port()}",
                LEADERBOARD_WORKERS="1",
            ),
        )
        # The superuser of the suite may be called like the role of the page.
        made.execute(made.administrator, re.sub(r"\bleaderboard\b", "leaderboard_managed", CREATE_DATABASE))
        yield made
        with redis.Redis.from_url(made.environment["REDIS_URL"]) as boards:
            boards.flushdb()
        admin.execute("DROP DATABASE leaderboard_managed")
        admin.execute("DROP ROLE leaderboard_managed")
        admin.execute("DROP ROLE provider")


def test_the_role_of_the_page_is_enough(managed: Managed, tmp_path: Path) -> None:
    env, dump = managed.environment, str(tmp_path / "dump")
    port = int(env["LEADERBOARD_BIND"].rpartition(":")[2])
    with psycopg.connect(env["DATABASE_URL"]) as db:
        row = db.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == (False, False, False, False)
        (identity,) = db.execute(LOOK.encode()).fetchall()
        assert int(identity[0]) and re.fullmatch("[0-9A-F]{8}", identity[1])
    assert run(["migrate"], env).returncode == 0
    with Command(["serve"], env) as api, Command(["relay", "--processes", "1"], env) as relay:
        api.until(lambda: answers(port, "/readyz"), START_S)
        relay.until(lambda: "relay is up" in relay.text(), START_S)
        with Http(port) as http:

            def settled() -> None:
                eventually(lambda: run(["verify"], env).returncode == 0)

            walk(http, {}, "s", settled)
    for command in (["backup", dump], ["restore", "--replace", dump], ["verify"], ["status"]):
        done = run(command, env)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_right_to_the_identity_can_be_granted(managed: Managed) -> None:
    env = managed.environment
    port = int(env["LEADERBOARD_BIND"].rpartition(":")[2])
    assert run(["migrate"], env).returncode == 0
    for function in IDENTITY:
        managed.execute(managed.superuser, f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
    with Command(["serve"], env) as api:
        api.until(lambda: answers(port, "/livez"), START_S)
        with Http(port) as http:
            answer = http.get("/readyz")
            assert (answer.status, answer.json["postgres"]) == (503, "down")
            with Command(["relay", "--processes", "1"], env) as relay:
                relay.until(lambda: "permission denied for function" in relay.text(), START_S)
                assert "relay is up" not in relay.text()
            managed.execute(managed.superuser, re.sub(r"\bleaderboard\b", "leaderboard_managed", GRANTS))
            eventually(lambda: http.get("/readyz").status == 200)
        with Command(["relay", "--processes", "1"], env) as relay:
            relay.until(lambda: "relay is up" in relay.text(), START_S)


def test_other_sessions_are_seen_with_the_optional_right(managed: Managed) -> None:
    """Without it PostgreSQL hides them, so the doctor cannot count them."""
    look = b"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = %s"
    with psycopg.connect(managed.superuser, autocommit=True) as other:
        (me,) = other.execute("SELECT current_user").fetchone() or ()
        with psycopg.connect(managed.environment["DATABASE_URL"], autocommit=True) as db:
            assert db.execute(look, [me]).fetchone() == (0,)
            (grant,) = re.findall(r"`(GRANT pg_read_all_stats TO leaderboard)`", PAGE)
            other.execute(f"{grant}_managed".encode())
            assert (db.execute(look, [me]).fetchone() or (0,))[0] >= 1
