"""`leaderboard doctor`: what is wrong, or will be, with an installation; each finding with advice."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec
import psycopg
from rich.table import Table
from rich.text import Text

from board.config.settings import Settings
from board.errors import BoardUnavailable, LeaderboardError
from board.pg import schema
from board.pg.session import connect, first_line, queries
from board.redis.keyspace import Keys, partition_of
from board.redis.sync_redis import Link, ResponseError
from ctl import output
from ctl.commands import status as statuses

Severity = Literal["ok", "info", "warning", "error"]
COLOURS: Final = {"ok": "green", "info": "cyan", "warning": "yellow", "error": "red"}
SKEW_S: Final = 1.0
LONG_S: Final = 300.0
STALE_S: Final = 10.0
DISK_FREE: Final = 0.1
KEYS_MOST: Final = 1_000_000
POSTGRES_OLDEST: Final = 15
REDIS_OLDEST: Final = (7, 0)


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how it is, how bad that is, and what to do."""

    check: str
    severity: Severity
    found: str
    advice: str = ""


def command(s: Settings, *, as_json: bool) -> int:
    """Look at everything; 0 without errors, else 1. Warnings are no errors."""
    findings = list(examine(s))
    if as_json:
        output.json({"healthy": not any(f.severity == "error" for f in findings), "findings": findings})
    else:
        table = Table(header_style="bold")
        for column in ("check", "", "found", "advice"):
            table.add_column(column, overflow="fold")
        for f in findings:
            table.add_row(f.check, Text(f.severity, style=COLOURS[f.severity]), Text(f.found), Text(f.advice))
        output.stdout.print(table)
    return 1 if any(f.severity == "error" for f in findings) else 0


def examine(s: Settings) -> Iterator[Finding]:
    """All findings. A server that is down is one, and the rest goes on."""
    seasons: set[bytes] | None = None
    try:
        with connect(s.database_url, "leaderboard-ctl") as db:
            yield from of_postgres(db)
            try:
                schema.check(db)
                yield Finding("schema", "ok", f"version {schema.required()}")
                seasons = {row[0].encode() for row in db.execute(queries()["season_names"])}
                yield of_buffers(*(db.execute(queries()["doctor_buffers"]).fetchone() or (0, 0)))
                yield from of_relays(s, db)
            except LeaderboardError as error:
                yield Finding("schema", "error", str(error), "run `leaderboard migrate`")
    except (LeaderboardError, psycopg.Error) as error:
        yield Finding("PostgreSQL", "error", first_line(error), "is it running, and is DATABASE_URL right?")
    link = Link(s.redis_url, "leaderboard-ctl")
    try:
        link.connect()
        yield from of_redis(link)
        if seasons is not None:
            yield from of_keys(link, Keys(s.redis_prefix), s.redis_prefix, seasons)
    except (BoardUnavailable, ResponseError) as error:
        yield Finding("Redis", "error", str(error), "is it running, and is REDIS_URL right?")
    finally:
        link.close()
    yield from of_machine(s)


WANTED: Final[dict[str, tuple[str, Severity, str]]] = {
    "fsync": ("on", "error", "without it a power cut destroys the database"),
    "full_page_writes": ("on", "error", "without it a power cut can tear pages"),
    "synchronous_commit": ("on", "error", "an acknowledged score may be lost in a crash; set it to on"),
    "data_checksums": ("on", "info", "checksums find a bad disk early: pg_checksums --enable on a stopped server"),
    "autovacuum": ("on", "error", "the outbox would grow without bound"),
}


def of_postgres(db: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Version, settings, clock, connections, long transactions."""
    version = db.info.server_version // 10_000
    yield Finding(
        "PostgreSQL",
        "ok" if version >= POSTGRES_OLDEST else "error",
        f"version {version}",
        "" if version >= POSTGRES_OLDEST else f"{POSTGRES_OLDEST} is the oldest that is supported",
    )
    for name, value in db.execute(queries()["doctor_settings"], {"names": list(WANTED)}).fetchall():
        wanted, severity, advice = WANTED[name]
        # Stronger than asked for is fine.
        fine = value == wanted or (name == "synchronous_commit" and value in ("remote_write", "remote_apply"))
        yield Finding(f"PostgreSQL {name}", "ok" if fine else severity, value, "" if fine else advice)
    before = time.time()
    clock, used, longest_s, standby = db.execute(queries()["doctor_state"]).fetchone() or (0.0, 0.0, 0.0, False)
    skew = clock - (before + time.time()) / 2
    fine = abs(skew) <= SKEW_S
    yield Finding(
        "clock",
        "ok" if fine else "warning",
        f"PostgreSQL's is {skew:+.3f} s from here",
        "" if fine else "run a time service (chrony) on both hosts: expiry and lags are told by clocks",
    )
    yield Finding(
        "PostgreSQL connections",
        "ok" if used < 0.8 else "warning",
        f"{used:.0%} of max_connections",
        "" if used < 0.8 else "raise max_connections, or run fewer workers",
    )
    yield Finding(
        "PostgreSQL transactions",
        "ok" if longest_s < LONG_S else "warning",
        f"the longest is {longest_s:.0f} s old",
        ""
        if longest_s < LONG_S
        else "a transaction that is never ended keeps dead rows alive: find it in pg_stat_activity",
    )
    if standby:
        yield Finding("PostgreSQL role", "error", "a standby", "DATABASE_URL must lead to the primary")


def of_buffers(buffers: int, scores: int) -> Finding:
    """Whether PostgreSQL keeps the rows that submissions change in its own memory; both in bytes."""
    fine = scores <= buffers
    return Finding(
        "PostgreSQL shared_buffers",
        "ok" if fine else "warning",
        f"{buffers >> 20:,} MiB for {scores >> 20:,} MiB of scores",
        "" if fine else "submissions wait for pages: set shared_buffers to a quarter of that host's memory",
    )


def of_relays(s: Settings, db: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Whether somebody carries, and whether it gets through."""
    relays = (db.execute(queries()["doctor_pools"]).fetchone() or (0,))[0]
    yield Finding(
        "relays",
        "ok" if relays else "error",
        f"{relays} connected",
        "" if relays else "no board changes without one: start `leaderboard relay`",
    )
    status = statuses.read(s)
    fine = status.oldest_s < STALE_S
    yield Finding(
        "outbox",
        "ok" if fine else "error",
        f"{status.pending:,} hints, oldest {status.oldest_s:.1f} s",
        "" if fine else "relays are dead, too few, or refused: look at their log",
    )
    for aside in status.ailing:
        yield Finding(
            "season", "error", f"{aside.season!r} is set aside: {aside.reason}", "it is tried again by itself"
        )
    if odd := [p.partition for p in status.partitions if p.state in ("behind", "foreign")]:
        yield Finding(
            "fences",
            "warning" if relays else "error",
            f"{len(odd)} partitions of which Redis lost something or that another PostgreSQL wrote",
            "relays rebuild them by themselves; if it stays, `leaderboard rebuild --all`",
        )


def of_redis(link: Link) -> Iterator[Finding]:
    """Version, eviction, memory, persistence, role."""
    info = info_of(link)
    version = tuple(int(part) for part in info.get("redis_version", "0.0").split(".")[:2])
    fine = version >= REDIS_OLDEST
    yield Finding(
        "Redis", "ok" if fine else "error", f"version {info.get('redis_version')}", "" if fine else "7.0 at least"
    )
    policy = info.get("maxmemory_policy", "?")
    yield Finding(
        "Redis maxmemory-policy",
        "ok" if policy == "noeviction" else "error",
        policy,
        "" if policy == "noeviction" else "Redis would throw boards away when memory is short: set noeviction",
    )
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if most:
        fine = used < 0.8 * most
        yield Finding(
            "Redis memory",
            "ok" if fine else "warning",
            f"{used / most:.0%} of maxmemory",
            "" if fine else "writes are refused at 100 %: raise maxmemory",
        )
    else:
        yield Finding(
            "Redis memory", "info", f"{used / 2**20:.0f} MiB, no maxmemory", "a limit keeps the machine alive"
        )
    saved = info.get("aof_enabled") == "1"
    yield Finding(
        "Redis appendonly",
        "ok" if saved else "info",
        "yes" if saved else "no",
        "" if saved else "boards are rebuilt from PostgreSQL after a restart; appendonly yes saves that time",
    )
    if info.get("role") != "master":
        yield Finding("Redis role", "error", str(info.get("role")), "REDIS_URL must lead to the primary")


def info_of(link: Link) -> dict[str, str]:
    """INFO as a dictionary."""
    lines = link.call("INFO").decode().splitlines()
    return dict(line.partition(":")[::2] for line in lines if ":" in line)


def of_keys(link: Link, keys: Keys, prefix: str, seasons: set[bytes]) -> Iterator[Finding]:
    """Boards in Redis of seasons that PostgreSQL does not know."""
    wanted = set()
    for season in seasons:
        partition = partition_of(season.decode())
        wanted |= {keys.board(partition, season), keys.members(partition, season)}
    known = {*keys.watermark, *keys.periods, *keys.temporary, keys.poke, keys.held}
    orphans, seen, cursor = 0, 0, b"0"
    while True:
        cursor, found = link.call("SCAN", cursor, "MATCH", f"{prefix}:*", "COUNT", "1000")
        seen += len(found)
        orphans += sum(key not in wanted and key not in known and b"}:t" not in key for key in found)
        if cursor == b"0" or seen > KEYS_MOST:
            break
    yield Finding(
        "Redis keys",
        "warning" if orphans else "ok",
        f"{orphans:,} of {seen:,} belong to no season",
        "another leaderboard with the same LEADERBOARD_REDIS_PREFIX? Nothing of this one reads them: UNLINK them"
        if orphans
        else "",
    )


def of_machine(s: Settings) -> Iterator[Finding]:
    """Disk and open files of this host."""
    path = s.data_dir if s.data_dir.exists() else "/"
    usage = shutil.disk_usage(path)
    free = usage.free / usage.total
    yield Finding(
        "disk",
        "ok" if free >= DISK_FREE else "warning",
        f"{free:.0%} free at {path}",
        "" if free >= DISK_FREE else "PostgreSQL stops when the disk is full",
    )
    cores = os.cpu_count() or 1
    yield Finding(
        "workers",
        "ok" if s.workers <= 2 * cores else "info",
        f"{s.workers} for {cores} cores",
        "" if s.workers <= 2 * cores else "more workers than cores cost memory and gain nothing",
    )
