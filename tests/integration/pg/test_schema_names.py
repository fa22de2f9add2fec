"""Schemas whose names need quotes: every command works in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from support.processes import leaderboard
from support.world import World

from board.partitions import partition_of

HARDEST = 'TABLE "COMMENT" x'
"""It has all that the others have."""
NAMES = (HARDEST, *(pytest.param(name, marks=pytest.mark.walk) for name in ("Game", "my schema")))


@pytest.fixture(params=NAMES)
def elsewhere(request: pytest.FixtureRequest, world: World) -> Iterator[dict[str, str]]:
    """The setting of a schema of this name, which belongs to the world's role."""
    quoted = '"' + request.param.replace('"', '""') + '"'
    # PostgreSQL divides options at blanks without a backslash.
    option = f"-csearch_path={quoted}".replace(" ", "\\ ")
    url = world.settings.database_url.partition("&options=")[0]
    with psycopg.connect(world.server_url, autocommit=True) as admin:
        admin.execute(f'CREATE SCHEMA {quoted} AUTHORIZATION "{world.name}"'.encode())
        yield {"DATABASE_URL": f"{url}&options={quote(option)}"}
        admin.execute(f"DROP SCHEMA {quoted} CASCADE".encode())


def test_backup_and_restore(world: World, elsewhere: dict[str, str], tmp_path: Path) -> None:
    dump = str(tmp_path / "x.dump")

    def run(*arguments: str, status: int = 0) -> str:
        done = leaderboard(world, *arguments, **elsewhere)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("migrate")
    with psycopg.connect(elsewhere["DATABASE_URL"], autocommit=True) as db:
        db.execute(
            "WITH p AS (INSERT INTO period (season_id, number) VALUES ('s', 1) RETURNING period_id), "
            "s AS (INSERT INTO season SELECT 's', %s, period_id FROM p) "
            "INSERT INTO score SELECT period_id, 'ada', 7, 1, 1 FROM p",
            (partition_of("s"),),
        )
        run("backup", dump)
        assert "--replace" in run("restore", dump, status=2)
        db.execute("UPDATE score SET score = 8")
        run("restore", "--replace", dump)
        assert db.execute("SELECT user_id, score FROM score").fetchall() == [("ada", 7)]
    run("verify")
    found = json.loads(leaderboard(world, "doctor", "--json", **elsewhere).stdout)["findings"]
    findings = {f["check"]: f["severity"] for f in found}
    assert findings["schema"] == "ok"
