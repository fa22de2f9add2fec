"""Day two: the doctor's findings, a backup that comes back on another cluster, completion."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import psycopg
import pytest
from support.processes import leaderboard, relaying, run, serving
from support.waiting import eventually
from support.world import World, private

from board.config.settings import environment
from ctl.embedded import Embedded, Prefer


def findings(world: World, **settings: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The doctor's exit status, and what it found by check."""
    done = leaderboard(world, "doctor", "--json", **settings)
    return done.returncode, {f["check"]: f for f in json.loads(done.stdout)["findings"]}


def test_the_doctor_names_what_is_wrong_and_what_to_do(world: World) -> None:
    world.submit(("s", "ada", 1))
    status, found = findings(world)
    assert status == 1
    assert found["relays"]["severity"] == "error" and "leaderboard relay" in found["relays"]["advice"]
    assert found["PostgreSQL fsync"]["severity"] == "error"  # the tests' own server runs without
    assert found["schema"]["severity"] == "ok"
    assert found["clock"]["severity"] == "ok"
    assert found["PostgreSQL shared_buffers"]["severity"] == "ok"
    assert all(f["advice"] for f in found.values() if f["severity"] in ("warning", "error"))

    with relaying(world):
        eventually(lambda: world.value("SELECT count(*) FROM outbox") == 0)
        _, found = findings(world)
        assert found["relays"]["severity"] == found["outbox"]["severity"] == found["Redis keys"]["severity"] == "ok"
        world.redis.zadd(f"{world.name}:{{3}}:z:nobody", {"x": 1})
        _, found = findings(world)
        assert found["Redis keys"]["severity"] == "warning" and found["Redis keys"]["found"].startswith("1 of ")


def test_the_doctor_goes_on_where_a_server_is_down(world: World) -> None:
    status, found = findings(world, REDIS_URL="redis://127.0.0.1:1")
    assert status == 1
    assert found["Redis"]["severity"] == "error"
    assert found["schema"]["severity"] == "ok"
    done = leaderboard(world, "doctor")
    assert "advice" in done.stdout and "PostgreSQL" in done.stdout


def test_the_doctor_tells_of_a_schema_that_is_missing(bare_world: World) -> None:
    status, found = findings(bare_world)
    assert status == 1
    assert "migrate" in found["schema"]["advice"]


@contextmanager
def other_cluster(world: World, prefer: Prefer) -> Iterator[dict[str, str]]:
    """The environment of the same leaderboard on new, empty servers."""
    directory = private(Path(tempfile.mkdtemp(prefix="lb-test-")))
    try:
        with Embedded(
            directory / "data", postgres=True, redis=True, report=print, prefer=prefer, durable=False
        ) as servers:
            assert servers.database_url is not None and servers.redis_url is not None
            with psycopg.connect(servers.database_url, autocommit=True) as admin:
                admin.execute(f'CREATE SCHEMA "{world.name}"'.encode())
            url = f"{servers.database_url}&options={quote(f'-c search_path={world.name}')}"
            settings = msgspec.structs.replace(world.settings, database_url=url, redis_url=servers.redis_url)
            yield {**world.environment(), **environment(settings)}
    finally:
        shutil.rmtree(directory)


def test_a_backup_comes_back_on_another_cluster_and_every_board_is_right(
    world: World, prefer_servers: Prefer, tmp_path: Path
) -> None:
    dump = tmp_path / "leaderboard.dump"
    with serving(world) as api, relaying(world), api.client() as http:
        for n in range(30):
            assert http.post(f"s{n % 3}", f"p{n}", n + 1).status == 202
        # No relay runs on the other cluster: a hint in the dump would be on its way for ever.
        eventually(lambda: world.counts()["outbox"] == 0)
        done = leaderboard(world, "backup", str(dump))  # the system goes on meanwhile
        assert done.returncode == 0, done.stderr
    assert dump.stat().st_mode & 0o777 == 0o600
    rows = world.rows("SELECT user_id, score, reached FROM score ORDER BY 1")

    with other_cluster(world, prefer_servers) as env:
        done = run(["restore", str(dump)], env)
        assert done.returncode == 0, done.stderr
        done = run(["verify"], env)
        assert done.returncode == 0, done.stdout + done.stderr
        with psycopg.connect(env["DATABASE_URL"], autocommit=True) as db:
            assert db.execute("SELECT user_id, score, reached FROM score ORDER BY 1").fetchall() == rows

            done = run(["restore", str(dump)], env)
            assert done.returncode == 2 and "--replace" in done.stderr
            db.execute("UPDATE score SET score = 0")
            done = run(["restore", "--replace", str(dump)], env)
            assert done.returncode == 0, done.stderr
            assert db.execute("SELECT user_id, score, reached FROM score ORDER BY 1").fetchall() == rows
        assert run(["verify"], env).returncode == 0


def test_a_restore_refuses_what_it_cannot_do_safely(world: World, tmp_path: Path) -> None:
    dump = tmp_path / "x.dump"
    dump.write_bytes(b"no dump")
    with relaying(world):
        done = leaderboard(world, "restore", "--replace", str(dump))
        assert done.returncode == 2 and "stop the API and the relays" in done.stderr
    done = leaderboard(world, "restore", "--replace", str(dump))
    assert done.returncode == 2 and "is no backup" in done.stderr
    assert leaderboard(world, "restore", str(tmp_path / "none")).returncode == 2
    assert world.counts()["season"] == 0


def test_a_restore_that_fails_leaves_nothing_of_itself(world: World, tmp_path: Path) -> None:
    """A dump that is cut off has the definitions of all tables, and the data of some."""
    world.submit(*(("s", f"p{n}", n + 1) for n in range(3_000)))
    dump = tmp_path / "x.dump"
    done = leaderboard(world, "backup", str(dump))
    assert done.returncode == 0, done.stderr
    dump.write_bytes(dump.read_bytes()[: -dump.stat().st_size // 4])
    done = leaderboard(world, "restore", "--replace", str(dump))
    assert done.returncode == 3 and "pg_restore: error: " in done.stderr, done.stderr
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p')"
    assert world.value(tables, world.name) == 0


def test_a_backup_that_fails_leaves_no_file(world: World, tmp_path: Path) -> None:
    done = leaderboard(world, "backup", str(tmp_path / "x.dump"), DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert done.returncode == 3
    assert not list(tmp_path.iterdir())
    target = tmp_path / "a directory"
    target.mkdir()
    assert leaderboard(world, "backup", str(target)).returncode != 0
    assert list(tmp_path.iterdir()) == [target], "the dump was written, and could not be put in place"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(world: World, shell: str) -> None:
    done = leaderboard(world, "completion", shell)
    assert done.returncode == 0
    assert "rebuild" in done.stdout and "season" in done.stdout
    if shutil.which(shell) and shell != "fish":
        assert subprocess.run([shell, "-n"], input=done.stdout, text=True).returncode == 0
