"""Data directories of the embedded servers: versions, paths, crashes, and damage."""

from __future__ import annotations

import os
import resource
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from support.absent import absent
from support.embedded import helper, installed, redis_client, sql, start
from support.waiting import eventually

from board.errors import (
    DataDirectoryMajorMismatch,
    ServerStartFailed,
)
from board.process.children import spawn, terminate
from ctl.embedded import Prefer
from ctl.embedded.account import choose_account
from ctl.embedded.data_directory import bound_log

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="death signals and /proc are Linux's")


@on_linux
def test_a_stale_pid_file_with_a_living_pid(data: Path, prefer: Prefer) -> None:
    with start(data, prefer, redis=False):
        text = (data / "postgres" / "postmaster.pid").read_text()
    # The number now belongs to another program of the same user, which PostgreSQL would take for a postmaster.
    other = spawn(["sleep", "600"], user=choose_account(data / "postgres"), cwd="/")
    try:
        lines = text.splitlines()
        (data / "postgres" / "postmaster.pid").write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        with start(data, prefer, redis=False) as servers:
            assert sql(servers, "select 1") == 1
        assert other.poll() is None
    finally:
        terminate(other)


def test_another_major_version_is_refused(place: Path, prefer: Prefer) -> None:
    data = place / "data"
    database = data / "postgres"
    database.mkdir(parents=True)
    (database / "PG_VERSION").write_text("12\n")
    give_to_server_user(database)
    with pytest.raises(DataDirectoryMajorMismatch, match=r"by PostgreSQL 12, but there is only Postgr") as error:
        start(data, prefer).__enter__()
    assert error.value.exit_code == 6
    assert os.listdir(database) == ["PG_VERSION"]


def test_the_server_that_fits_the_data_is_preferred(data: Path, prefer: Prefer) -> None:
    if not (installed("wheel") and installed("system")):
        absent("needs servers of both kinds")
    with start(data, "auto", redis=False) as servers:
        assert f"({prefer})" in servers.describe()[0]
        assert sql(servers, "select n from kept") == 42


def give_to_server_user(path: Path) -> None:
    account = choose_account()
    if account is not None:
        os.chown(path, account.uid, account.gid)


@pytest.mark.parametrize("name", ["deep/" * 30 + "data", "a b,c%41'\"é"])
def test_unusual_paths(data: Path, place: Path, prefer: Prefer, name: str) -> None:
    moved = place / name
    moved.parent.mkdir(parents=True, exist_ok=True)
    data.rename(moved)
    try:
        with start(moved, prefer) as servers:
            assert sql(servers, "select n from kept") == 42
            assert redis_client(servers).ping()
            elsewhere = Path((moved / "runtime" / "sockets-elsewhere").read_text())
            assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
        assert not elsewhere.exists()
    finally:
        moved.rename(data)


def test_a_temporary_socket_directory_of_a_crash_is_removed(place: Path) -> None:
    stale = Path(tempfile.mkdtemp(prefix="leaderboard-"))
    data = place / "data"
    (data / "runtime").mkdir(parents=True)
    (data / "runtime" / "sockets-elsewhere").write_text(str(stale))
    with start(data, postgres=False):
        assert not stale.exists()


def test_a_half_finished_creation_is_begun_again(place: Path, prefer: Prefer) -> None:
    data = place / "data"
    unfinished = data / "postgres.unfinished"
    with helper(data, prefer) as parent:
        eventually((unfinished / "PG_VERSION").exists)
        parent.kill()
    assert not (data / "postgres").exists()
    with start(data, prefer, redis=False) as servers:
        assert sql(servers, "select 1") == 1
    assert not unfinished.exists()


def test_a_foreign_directory_is_left_alone(place: Path) -> None:
    database = place / "data" / "postgres"
    database.mkdir(parents=True)
    (database / "thesis.txt").write_text("precious")
    give_to_server_user(database)
    with pytest.raises(ServerStartFailed, match="not empty"):
        start(place / "data").__enter__()
    assert os.listdir(database) == ["thesis.txt"]


@pytest.mark.parametrize("damage", ["newer", "unreadable"])
def test_redis_data_that_cannot_be_read_is_set_aside(place: Path, prefer: Prefer, damage: str) -> None:
    data = place / "data"
    with start(data, prefer, postgres=False) as servers:
        client = redis_client(servers)
        client.set("kept", "x" * 1000)
        client.bgrewriteaof()
        eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    if damage == "newer":
        (data / "runtime" / "redis-made-by.json").write_text('{"product": "Valkey", "version": [99, 0, 0]}')
    else:
        (base,) = (data / "redis" / "appendonlydir").glob("*.base.rdb")
        base.write_bytes(b"REDIS9999" + base.read_bytes()[9:])
    with start(data, prefer, postgres=False) as servers:
        assert redis_client(servers).get("kept") is None
        assert redis_client(servers).set("again", "1")
    assert (data / "redis.set-aside").is_dir()
    with start(data, prefer, postgres=False) as servers:
        assert redis_client(servers).get("again") == "1"


def test_logs_stay_within_bounds(place: Path) -> None:
    log = place / "server.log"
    log.touch(mode=0o600)
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 100)
        bound_log(log, limit=100)
        writer.write(b"new\n")
        bound_log(log, limit=100)
    assert log.read_text() == "new\n"
    older = place / "server.log.1"
    assert older.read_text() == "old\n" * 100
    assert stat.S_IMODE(older.stat().st_mode) == stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_log_that_cannot_be_copied_stays_and_leaves_nothing_half_done(place: Path) -> None:
    log, older = place / "server.log", place / "server.log.1"
    log.write_text("new\n" * 10_000)
    older.write_text("older\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As a full disk: the copy breaks off on its way.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            bound_log(log, limit=100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in place.iterdir()) == ["server.log", "server.log.1"]
    assert log.read_text() == "new\n" * 10_000 and older.read_text() == "older\n"


def test_a_copy_that_a_killed_run_has_left_is_in_nobodys_way(place: Path) -> None:
    log = place / "server.log"
    log.write_text("new\n" * 100)
    (place / "server.log.part").write_text("half")
    bound_log(log, limit=100)
    assert (place / "server.log.1").read_text() == "new\n" * 100
    assert not (place / "server.log.part").exists()
