"""The embedded servers keep data, are for their owner alone, end with their parent, and say why a start failed."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
import redis
from support.embedded import SERVERS, heads, helper, pids, redis_client, sql, start
from support.processes import alive
from support.waiting import eventually

from board.errors import (
    DataDirectoryLocked,
    ServerStartFailed,
)
from board.process.children import spawn
from ctl.embedded import Embedded, Prefer, leftovers
from ctl.embedded.account import choose_account
from ctl.embedded.installations import find_postgres
from ctl.embedded.redis import copies_small_pages

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="death signals and /proc are Linux's")


def test_data_is_kept_between_runs(place: Path, prefer: Prefer) -> None:
    data = place / "data"
    with Embedded(data, postgres=True, redis=True, report=print, prefer=prefer) as servers:
        assert len(servers.describe()) == 2
        servers.keep_running()
        sql(servers, "create table kept as select 42 as n")
        redis_client(servers).set("kept", "42")
        assert sql(servers, "show fsync") == "on"
        assert sql(servers, "show synchronous_commit") == "on"
        assert sql(servers, "show data_checksums") == "on"
        assert redis_client(servers).config_get("append*")["appendfsync"] == "everysec"
    assert servers.database_url is None and servers.redis_url is None
    with start(data, prefer) as servers:
        assert sql(servers, "select n from kept") == 42
        assert redis_client(servers).get("kept") == "42"


@on_linux
def test_redis_has_huge_pages_where_the_kernel_gives_them(place: Path, prefer: Prefer) -> None:
    with start(place / "data", prefer, postgres=False) as servers:
        client = redis_client(servers)
        for first in range(0, 200_000, 10_000):
            client.eval("for i = ARGV[1], ARGV[1] + 9999 do redis.call('ZADD', 'z', i, 'p' .. i) end", 0, first)
        process = client.info("server")["process_id"]
        if "[never]" in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text():
            assert client.config_get("disable-thp") == {"disable-thp": "no"}
            return
        found = re.search(r"AnonHugePages: +(\d+) kB", Path(f"/proc/{process}/smaps_rollup").read_text())
        assert found is not None and int(found[1]) > 4_096


@pytest.mark.parametrize(
    ("release", "good"),
    [("5.7.19", False), ("5.8.0", True), ("4.18.0-553.el8_10.x86_64", False), ("6.1.0-18-amd64", True), ("odd", False)],
)
def test_huge_pages_are_for_kernels_that_copy_small_ones(release: str, good: bool) -> None:
    assert copies_small_pages(release) is good


def test_only_the_owner_reaches_the_servers(data: Path, prefer: Prefer) -> None:
    with start(data, prefer) as servers:
        assert sql(servers, "show listen_addresses") == ""
        assert redis_client(servers).config_get("port")["port"] == "0"
        sockets = [path for path in data.rglob("*") if path.is_socket()]
        assert len(sockets) == 2
        for path in (data / "postgres", data / "redis", data / "log", *{s.parent for s in sockets}):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert len(heads(data)) == 2
        for pid in heads(data):
            assert Path(f"/proc/{pid}").stat().st_uid != 0
            assert os.getsid(pid) != os.getsid(0), "Ctrl-C in the terminal would reach it"
    assert pids(data) == []
    assert not [path for path in data.rglob("*") if path.is_socket()]


def test_a_second_instance_is_refused(place: Path) -> None:
    data = place / "data"
    with start(data, postgres=False) as first:
        with pytest.raises(DataDirectoryLocked, match=str(os.getpid())), start(data, postgres=False):
            pass
        assert redis_client(first).ping()
    with start(data, postgres=False) as second:
        assert redis_client(second).ping()


@on_linux
def test_servers_die_with_their_parent(data: Path, prefer: Prefer) -> None:
    with helper(data, prefer) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        assert len(heads(data)) == 2
        parent.kill()
    eventually(lambda: not pids(data))
    # Once more, without waiting for those on their way down.
    with helper(data, prefer) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        parent.kill()
    with start(data, prefer) as servers:
        assert sql(servers, "select n from kept") == 42


@on_linux
def test_a_server_of_an_earlier_run_is_stopped(data: Path, prefer: Prefer) -> None:
    account = choose_account(data / "postgres")
    program = find_postgres(prefer, data / "runtime", account)[0].program
    directory = data / "postgres"
    survivor = spawn(
        [program, "-D", directory, "-c", "listen_addresses=", "-c", f"unix_socket_directories={directory}"],
        user=account,
        cwd=directory,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: "ready" in text_of(directory / "postmaster.pid"))
    with start(data, prefer, redis=False) as servers:
        assert survivor.wait(15) == 0
        assert sql(servers, "select n from kept") == 42


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_killed_server_is_started_again(place: Path, prefer: Prefer, kind: str) -> None:
    data = place / "data"
    with start(data, prefer, postgres=kind == "postgres", redis=kind == "redis") as servers:
        for _ in range(2):
            (pid,) = heads(data)
            os.kill(pid, signal.SIGKILL)

            def answers(gone: int = pid) -> bool:
                servers.keep_running()
                if heads(data) in ([], [gone]):
                    return False
                try:
                    return redis_client(servers).ping() if kind == "redis" else sql(servers, "select 1") == 1
                except (psycopg.OperationalError, redis.RedisError):
                    return False

            eventually(answers)
    assert pids(data) == []


@on_linux
def test_processes_that_a_killed_postmaster_leaves_do_not_keep_its_successor_out(place: Path, prefer: Prefer) -> None:
    data = place / "data"
    with ExitStack() as stack, start(data, prefer, redis=False) as servers:
        assert servers.database_url is not None
        busy = stack.enter_context(closing(psycopg.connect(servers.database_url)))
        busy.pgconn.send_query(b"select count(*) from generate_series(1, 100000000000)")
        left = busy.info.backend_pid
        (postmaster,) = heads(data)
        # A process that is stopped sees nothing of the end of its parent.
        os.kill(left, signal.SIGSTOP)
        os.kill(postmaster, signal.SIGKILL)

        def answers() -> bool:
            servers.keep_running()
            try:
                return sql(servers, "select 1") == 1
            except psycopg.OperationalError:
                return False

        eventually(answers)
        assert not alive({left})


def test_data_that_redis_cannot_read_any_more_is_moved_away(place: Path, prefer: Prefer) -> None:
    data = place / "data"
    with start(data, prefer, postgres=False) as servers:
        client = redis_client(servers)
        client.set("kept", "x" * 1000)
        client.bgrewriteaof()
        eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        (base,) = (data / "redis" / "appendonlydir").glob("*.base.rdb")
        base.write_bytes(b"REDIS9999" + base.read_bytes()[9:])
        os.kill(*heads(data), signal.SIGKILL)

        def answers() -> bool:
            servers.keep_running()
            try:
                return bool(redis_client(servers).ping())
            except redis.RedisError:
                return False

        eventually(answers)
        assert redis_client(servers).get("kept") is None
        assert (data / "redis.set-aside").is_dir()


def test_a_database_that_has_gone_is_not_created_anew(
    place: Path, prefer: Prefer, caplog: pytest.LogCaptureFixture
) -> None:
    data = place / "data"
    with start(data, prefer, redis=False) as servers:
        (data / "postgres").rename(data / "elsewhere")
        os.kill(*leftovers.select_parents(leftovers.find(data / "elsewhere", SERVERS)), signal.SIGKILL)

        def told() -> bool:
            servers.keep_running()
            return "cannot be started, again in" in caplog.text

        eventually(told)
        assert not (data / "postgres").exists()
        eventually(lambda: not leftovers.find(data / "elsewhere", SERVERS))


def test_a_server_that_cannot_start_says_why(data: Path, prefer: Prefer) -> None:
    control = data / "postgres" / "global" / "pg_control"
    control.rename(control.with_name("kept"))
    try:
        with pytest.raises(ServerStartFailed, match=r"(?s)ended with status \d.*pg_control") as error:
            start(data, prefer, redis=False).__enter__()
    finally:
        control.with_name("kept").rename(control)
    assert "\n" not in str(error.value)
    assert pids(data) == []


def test_a_missing_server_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServerStartFailed, match=r"Valkey or Redis 7\.0 or newer .*set REDIS_URL"):
        start(place / "data", "system", postgres=False).__enter__()


def test_nothing_is_touched_when_no_server_is_wanted(place: Path) -> None:
    with start(place / "data", postgres=False, redis=False) as servers:
        servers.keep_running()
        assert servers.describe() == []
    assert not (place / "data").exists()
