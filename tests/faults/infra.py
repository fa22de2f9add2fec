"""Faults of what the service stands on: standbys, volumes, disks, clocks, versions, snapshots, overload."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import statistics
import subprocess
import time
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
from support.http import Http
from support.processes import answers
from support.repository import REPOSITORY
from support.waiting import eventually

from board.process.children import terminate
from ctl.embedded import postgres as pg
from ctl.embedded.data_directory import DataDirectory
from faults.connection import Connection, Unanswered
from faults.generate import Generator
from faults.injections import LOST, fault, progress
from faults.rig import APP, Rig, follow, kill

BACK_IN_TIME: Final = {
    name: "PostgreSQL itself lost what was acknowledged: its copy was older, and nothing newer exists anywhere"
    for name in ("I1", "I2", "I4", "I8", "reset")
}


class Standby(pg.Postgres):
    """A PostgreSQL that may start as a hot standby."""

    def is_ready(self) -> bool:
        pid_file = self._data.postgres / "postmaster.pid"
        try:
            lines = pid_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() in ("ready", "standby")


def standby(rig: Rig, name: str) -> tuple[Standby, Path]:
    """A streaming standby of the present primary, caught up once; and where its socket is."""
    data = DataDirectory(rig.root / name)
    sockets = rig.root / f"{name}-s"
    data.create_private(sockets, rig.account)
    data.create_private(data.postgres, rig.account)
    program = rig.postgres.installation.program.with_name("pg_basebackup")
    rig.tool([program, "-D", data.postgres, "-h", rig.sockets, "-U", pg.ROLE, "-R", "-X", "stream", "-c", "fast"])
    made = Standby(rig.postgres.installation, data, rig.account, durable=True)
    made.start(sockets, print)
    return made, sockets


def switch(rig: Rig, to: pg.Postgres, sockets: Path) -> None:
    """Let everything use another PostgreSQL from now on."""
    rig.postgres = to
    rig.sockets = sockets
    rig.undo(to.stop)
    for name in ("api-pg", "relay-pg"):
        rig.proxies[name].redirect(f"{sockets}/.s.PGSQL.5432")
        rig.proxies[name].reset()


def promote(rig: Rig, made: Standby, sockets: Path) -> None:
    """The primary dies, the standby becomes the primary."""
    rig.crash_postgres()
    with psycopg.connect(admin_url(sockets), autocommit=True) as db:
        db.execute("SELECT pg_promote(true, 60)")
        db.execute("ALTER SYSTEM RESET ALL")
        db.execute("SELECT pg_reload_conf()")
    switch(rig, made, sockets)


def admin_url(sockets: Path) -> str:
    """The superuser of a cluster behind this socket."""
    return f"postgresql://{pg.ROLE}@/{pg.DATABASE}?host={quote(str(sockets), safe='')}"


@fault("postgres: synchronous standby promoted", rounds=1)
def synchronous(rig: Rig, rng: random.Random, load: Generator) -> None:
    made, sockets = standby(rig, f"sync{rng.randrange(10**6)}")
    with psycopg.connect(admin_url(rig.sockets), autocommit=True) as db:
        db.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        db.execute("SELECT pg_reload_conf()")
        query = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
        eventually(lambda: db.execute(query).rowcount == 1, 30)
    progress(load, 100)
    promote(rig, made, sockets)


@fault("postgres: lagging standby promoted", rounds=1, excuses=BACK_IN_TIME)
def lagging(rig: Rig, rng: random.Random, load: Generator) -> None:
    made, sockets = standby(rig, f"async{rng.randrange(10**6)}")
    progress(load, 50)
    with psycopg.connect(admin_url(sockets), autocommit=True) as db:
        db.execute("ALTER SYSTEM SET primary_conninfo = 'host=/nonexistent'")
        db.execute("SELECT pg_reload_conf()")
        eventually(lambda: not db.execute("SELECT FROM pg_stat_wal_receiver").fetchall(), 30)
    # From here on the primary acknowledges, and Redis shows, what the standby will never have.
    progress(load, 200)
    promote(rig, made, sockets)


@fault("postgres: restored from a dump into another cluster", rounds=1)
def restored(rig: Rig, rng: random.Random, load: Generator) -> None:
    load.pause()
    name = f"other{rng.randrange(10**6)}"
    data = DataDirectory(rig.root / name)
    sockets = rig.root / f"{name}-s"
    data.create_private(sockets, rig.account)
    other = pg.Postgres(rig.postgres.installation, data, rig.account, durable=True)
    other.start(sockets, print)
    with psycopg.connect(admin_url(sockets), autocommit=True) as db:
        db.execute(f"CREATE ROLE {APP} LOGIN".encode())
        db.execute(f"CREATE DATABASE {APP} OWNER {APP}".encode())
    programs = rig.postgres.installation.program.parent
    dump = rig.root / f"{name}.dump"
    rig.tool([programs / "pg_dump", "-h", rig.sockets, "-U", APP, "-Fc", APP], output=dump)
    with dump.open("rb") as source:
        rig.tool([programs / "pg_restore", "-h", sockets, "-U", APP, "-d", APP], source=source)
    dump.unlink()
    old = rig.postgres
    switch(rig, other, sockets)
    old.stop()
    load.resume()


@fault("postgres: volume set back to an older copy", rounds=1, excuses=BACK_IN_TIME)
def older_volume(rig: Rig, rng: random.Random, load: Generator) -> None:
    directory = rig.postgres._data.postgres
    kept = directory.with_name("kept")
    rig.postgres.stop()
    shutil.copytree(directory, kept, symlinks=True)
    rig.start_postgres()
    progress(load, 200)
    rig.crash_postgres()
    shutil.rmtree(directory)
    kept.rename(directory)
    rig.give(directory)
    rig.start_postgres()


@fault("postgres: disk full", rounds=1, needs="root")
def disk_full(rig: Rig, rng: random.Random, load: Generator) -> None:
    directory = rig.postgres._data.postgres
    aside = directory.with_name("on-disk")
    rig.postgres.stop()
    directory.rename(aside)
    directory.mkdir(mode=0o700)
    used = sum(path.lstat().st_size for path in aside.rglob("*") if path.is_file())
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={used + (64 << 20)},mode=0700", "tmpfs", directory], check=True
    )
    try:
        shutil.copytree(aside, directory, symlinks=True, dirs_exist_ok=True)
        rig.give(directory)
        rig.start_postgres()
        progress(load, 50)
        filler = directory / "filler"
        refused = load.refused
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                pass
        # Not a byte is free. Sooner or later a page or a segment of WAL is needed.
        with psycopg.connect(rig.database_url, autocommit=True) as db:
            try:
                db.execute("CREATE TABLE big AS SELECT repeat('x', 2000) AS t FROM generate_series(1, 100000)")
            except psycopg.Error as error:
                load.figures["disk full says"] = error.sqlstate or "connection lost"
        eventually(lambda: load.check() and load.refused >= refused + 20, 60)
        filler.unlink()
        if rig.postgres._require_process().poll() is not None:
            # It could not even recover: what systemd does.
            rig.start_postgres()
        progress(load, 50)
        rig.postgres.stop()
        shutil.rmtree(aside)
        shutil.copytree(directory, aside, symlinks=True)
    finally:
        if rig.postgres._require_process().poll() is None:
            rig.postgres.stop()
        subprocess.run(["umount", directory], check=True)
        directory.rmdir()
        aside.rename(directory)
        rig.give(directory)
        rig.start_postgres()


@fault("postgres: snapshot held open under load", rounds=1)
def snapshot(rig: Rig, rng: random.Random, load: Generator) -> None:
    """A foreign report runs in one long transaction: nothing can be vacuumed, yet the outbox stays fast."""
    seconds = float(os.environ.get("SNAPSHOT_S", "10"))
    with psycopg.connect(rig.database_url) as holder, rig.postgres_connection() as db:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute("SELECT count(*) FROM score")
        first = visible(rig, 40)
        until = time.monotonic() + seconds
        progress(load, 50)
        while time.monotonic() < until:
            progress(load, 100)
        last = visible(rig, 40)
        (dead,) = db.execute("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'outbox'").fetchone() or (0,)
        (pending,) = db.execute("SELECT count(*) FROM outbox").fetchone() or (0,)
    load.figures |= {
        "snapshot held, s": seconds,
        "dead rows in the outbox": dead,
        "hints waiting": pending,
        "POST to visible p50 at first, ms": first,
        "POST to visible p50 at last, ms": last,
    }
    assert last < 5 * first + 20, load.figures


def visible(rig: Rig, n: int) -> float:
    """Median milliseconds from a submission's answer until the board shows it."""

    async def measure() -> float:
        connection = Connection(rig.port)
        times = []
        for number in range(n):
            body = b'{"userId":"v%d","delta":1}' % number
            await connection.send("POST", "/v1/seasons/visible~probe/scores", body)
            _, accepted = await connection.receive()
            began = time.monotonic()
            while True:
                await connection.send("GET", f"/v1/seasons/visible~probe/leaderboard/rank?userId=v{number}")
                status, shown = await connection.receive()
                if status == 200 and shown["version"] >= accepted["version"]:
                    break
                assert time.monotonic() - began < 30
            times.append((time.monotonic() - began) * 1000)
        connection.drop()
        return round(statistics.median(times), 1)

    return asyncio.run(measure())


# --- Redis


@fault("redis: failover to a stale replica", rounds=1, excuses=LOST | {"I8": LOST["I4"]})
def stale_replica(rig: Rig, rng: random.Random, load: Generator) -> None:
    other, path = rig.start_second_redis(f"replica{rng.randrange(10**6)}")
    proxy = rig.proxy(rig.redis_socket)
    client: Any = rig.redis_at(path)
    follow(client, proxy.port)
    progress(load, 50)
    proxy.cut()
    progress(load, 200)
    rig.kill_redis()
    client.replicaof("NO", "ONE")
    client.close()
    rig.adopt_redis(other, path)


# --- hosts


@fault("host: the API's clock steps", rounds=1, needs="compiler")
def clock_steps(rig: Rig, rng: random.Random, load: Generator) -> None:
    library, step = rig.root / "clock.so", rig.root / "clock"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, source], check=True)
    step.write_text("0")
    load.pause()
    rig.restart("api", LD_PRELOAD=str(library), CLOCK_OFFSET_FILE=str(step))
    eventually(lambda: answers(rig.port, "/readyz"), 60)
    load.resume()
    day = 86_400
    for jump in (3 * day, -3 * day, 40 * 365 * day, -rng.randint(1, 999), rng.randint(1, 999), 0):
        step.write_text(str(jump))
        progress(load, 60)
        # uvicorn writes the date once a second, from the clock that it has.
        eventually(partial(off_by, rig.port, jump))
    load.pause()
    rig.restart("api")
    eventually(lambda: answers(rig.port, "/readyz"), 60)
    load.resume()


def off_by(port: int, seconds: int) -> bool:
    """Whether the `Date` of an answer is so far from the real time."""
    with Http(port) as http:
        said = parsedate_to_datetime(http.get("/livez").headers["date"]).timestamp()
    return abs(said - time.time() - seconds) < 5


OLDER: Final = (REPOSITORY / "tests/upgrade/previous").read_text(encoding="utf-8").strip()
"""The commit of the release before this one: its relays may still run while a host is upgraded."""
UNTOLD: Final = {"leader": "relays of the older release tell no leaders; the next batch of a newer one does"}


@fault("host: relays of two versions", rounds=1, needs="history", excuses=UNTOLD)
@fault("host: relays of two versions, periods end", rounds=1, needs="history", excuses=UNTOLD, ends=True, seasons=6)
def two_versions(rig: Rig, rng: random.Random, load: Generator) -> None:
    tree = rig.root / "older"
    if not tree.exists():
        tree.mkdir()
        archive = subprocess.run(["git", "archive", OLDER], cwd=REPOSITORY, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    rig.extra = {"LEADERBOARD_IMPL": "python"}
    rig.start("older relays", ["-m", "ctl", "relay", "--processes", "2"], tree)
    rig.extra = {}
    older = rig.forget("older relays")
    try:
        for _ in range(3):
            progress(load, 100)
            kill(rng.choice(eventually(rig.relays)), signal.SIGKILL)
        assert older.poll() is None, rig.report()
    finally:
        terminate(older, signal.SIGTERM, 30)


@fault("overload: three times what it can carry", rounds=1)
def overload(rig: Rig, rng: random.Random, load: Generator) -> None:
    """PostgreSQL is made slow, so that both workers together carry some hundred a second; thrice that arrives."""
    load.pause()
    rig.restart(
        "api", LEADERBOARD_INTAKE_BATCH="5", LEADERBOARD_INTAKE_QUEUE="100", LEADERBOARD_WRITE_DEADLINE_MS="800"
    )
    proxy = rig.proxies["api-pg"]
    try:
        eventually(lambda: answers(rig.port, "/readyz"), 60)
        proxy.delay_s = 0.02
        overloaded(rig, load)
    finally:
        proxy.delay_s = 0.0
        rig.restart("api")
    eventually(lambda: answers(rig.port, "/readyz"), 60)
    load.resume()


def overloaded(rig: Rig, load: Generator) -> None:
    """Offer three times what the workers were seen to carry, and judge the answers."""
    calm = asyncio.run(flood(rig, 100, 3.0))
    capacity = asyncio.run(flood(rig, 2_000, 4.0))["accepted a second"]
    before = memory(rig)
    heavy = asyncio.run(flood(rig, 3 * capacity, 12.0))
    while heavy["accepted a second"] > 1.5 * capacity:
        # The machine had other work when the capacity was measured.
        capacity = heavy["accepted a second"]
        heavy = asyncio.run(flood(rig, 3 * capacity, 12.0))
    after = memory(rig)
    load.figures |= {f"overload: {name}": value for name, value in heavy.items()}
    load.figures |= {
        "overload: carried a second at most": capacity,
        "overload: calm p99, ms": calm["p99 of accepted, ms"],
        "overload: workers' memory before and after, MB": f"{before:.0f}, {after:.0f}",
    }
    assert heavy["unanswered"] == 0 and heavy["other answers"] == 0, heavy
    assert heavy["refused"] > heavy["accepted"] > 0, heavy
    assert heavy["accepted a second"] > 0.6 * capacity, (capacity, heavy)
    assert heavy["p99 of accepted, ms"] < 1_000, heavy
    assert heavy["without Retry-After"] == 0, heavy
    assert after < before * 1.2 + 5, (before, after)


def memory(rig: Rig) -> float:
    """Resident memory of the workers, MB."""
    total = 0
    for pid in rig.workers():
        total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total / 1e6


async def flood(rig: Rig, rate: float, seconds: float) -> dict[str, float]:
    """An open loop: so many submissions a second, whether or not the earlier ones are answered."""
    idle: list[Connection] = []
    accepted: list[float] = []
    counts = {"refused": 0, "unanswered": 0, "other answers": 0, "without Retry-After": 0}
    refused_ms: list[float] = []

    async def one(number: int) -> None:
        connection = idle.pop() if idle else Connection(rig.port)
        began = time.monotonic()
        try:
            body = b'{"userId":"f%d","delta":1}' % (number % 5_000)
            await connection.send("POST", "/v1/seasons/flood~probe/scores", body)
            status, _ = await connection.receive()
        except (Unanswered, OSError):
            counts["unanswered"] += 1
            return
        taken = (time.monotonic() - began) * 1000
        if status == 202:
            accepted.append(taken)
        elif status == 503:
            counts["refused"] += 1
            refused_ms.append(taken)
            counts["without Retry-After"] += not connection.retry_after
        else:
            counts["other answers"] += 1
            counts[f"answers {status}"] = counts.get(f"answers {status}", 0) + 1
        idle.append(connection)

    tasks = []
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (early := due - time.monotonic()) > 0:
            await asyncio.sleep(early)
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    took = time.monotonic() - began
    for connection in idle:
        connection.drop()
    accepted.sort()
    refused_ms.sort()
    return counts | {
        "offered a second": round(rate),
        "accepted": len(accepted),
        "accepted a second": round(len(accepted) / took),
        "p99 of accepted, ms": round(accepted[int(len(accepted) * 0.99)], 1) if accepted else 0.0,
        "p50 of refused, ms": round(refused_ms[len(refused_ms) // 2], 1) if refused_ms else 0.0,
    }
