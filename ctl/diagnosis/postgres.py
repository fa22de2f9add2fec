"""Checks of PostgreSQL: version, encoding, pooler, settings, clock, connections, transactions, role, memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
import psycopg
from psycopg.rows import class_row

from board.config.settings import Settings
from board.errors import UnsuitableServer
from board.pg.queries import queries
from board.pg.requirements import ENCODING, OLDEST, read_encoding
from ctl.connections import check_pooler
from ctl.diagnosis.finding import Finding, Severity, judge

SKEW_MOST_S: Final = 1.0
TRANSACTION_MOST_S: Final = 300.0
CONNECTIONS_MOST: Final = 0.8
AUDIT: Final = "the role has rights that it must not have: REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM its name"
AUDIT_TRIGGER: Final = "somebody may have changed the audit: ALTER TABLE audit ENABLE TRIGGER audit_append_only"
AUDIT_SUPERUSER: Final = "use a role without SUPERUSER, which no right can be taken from"


class Rule(NamedTuple):
    """Values of a PostgreSQL setting that are fine, and the finding for others."""

    fine: tuple[str, ...]
    severity: Severity
    advice: str


SETTINGS: Final[dict[str, Rule]] = {
    "fsync": Rule(("on",), "error", "without it a power cut destroys the database"),
    "full_page_writes": Rule(("on",), "error", "without it a power cut can tear pages"),
    "synchronous_commit": Rule(
        ("on", "remote_write", "remote_apply"), "error", "an acknowledged score may be lost in a crash; set it to on"
    ),
    "data_checksums": Rule(
        ("on",), "info", "checksums find a bad disk early: pg_checksums --enable on a stopped server"
    ),
    "autovacuum": Rule(("on",), "error", "the outbox would grow without bound"),
}


class ServerState(msgspec.Struct, frozen=True):
    """A row of the query `doctor_state`.

    The clock in seconds since 1970, the share of connections in use, the age of the longest transaction in seconds.
    """

    clock: float
    used: float
    longest_s: float
    standby: bool
    read_only: bool


class Buffers(msgspec.Struct, frozen=True):
    """A row of the query `doctor_buffers`, in bytes: PostgreSQL's memory for pages, and the scores with their index."""

    buffers: int
    scores: int


def examine_postgres(db: psycopg.Connection[Any]) -> Iterator[Finding]:
    """The findings that need no schema. Raises `psycopg.Error`."""
    version = db.info.server_version // 10_000
    oldest = f"{OLDEST} is the oldest supported version"
    yield judge("PostgreSQL", f"version {version}", version >= OLDEST, "error", oldest)
    encoding = read_encoding(db)
    yield judge(
        "PostgreSQL encoding",
        encoding,
        encoding == ENCODING,
        "error",
        f"user ids need {ENCODING}: backup, `createdb --template=template0 --encoding={ENCODING}`, restore",
    )
    for name, value in db.execute(queries()["doctor_settings"], {"names": list(SETTINGS)}).fetchall():
        rule = SETTINGS[name]
        yield judge(f"PostgreSQL {name}", value, value in rule.fine, rule.severity, rule.advice)
    before = time.time()
    state = db.cursor(row_factory=class_row(ServerState)).execute(queries()["doctor_state"]).fetchone()
    assert state is not None, "a SELECT without FROM has one row"
    skew_s = state.clock - (before + time.time()) / 2
    yield judge(
        "clock",
        f"PostgreSQL's is {skew_s:+.3f} s from here",
        abs(skew_s) <= SKEW_MOST_S,
        "warning",
        "run a time service (chrony) on both hosts: expiry and lags are measured by clocks",
    )
    yield judge(
        "PostgreSQL connections",
        f"{state.used:.0%} of max_connections",
        state.used < CONNECTIONS_MOST,
        "warning",
        "raise max_connections, or run fewer workers",
    )
    yield judge(
        "PostgreSQL transactions",
        f"the longest is {state.longest_s:.0f} s old",
        state.longest_s < TRANSACTION_MOST_S,
        "warning",
        "a transaction that stays open keeps dead rows alive: find it in pg_stat_activity",
    )
    if state.standby:
        yield Finding("PostgreSQL role", "error", "a standby", "DATABASE_URL must lead to the primary")
    elif state.read_only:
        advice = "scores cannot be written: set default_transaction_read_only to off (server, database or role)"
        yield Finding("PostgreSQL role", "error", "accepts no changes", advice)


def examine_pooling(s: Settings, db: psycopg.Connection[Any]) -> Finding:
    """Whether sessions belong to their clients. Raises `psycopg.Error`."""
    try:
        check_pooler(s, db)
    except UnsuitableServer:
        advice = "a pooler divides sessions between clients; PgBouncer needs pool_mode = session"
        return Finding("PostgreSQL sessions", "error", "shared with other clients", advice)
    return Finding("PostgreSQL sessions", "ok", "belong to their clients")


class AuditRights(msgspec.Struct, frozen=True):
    """A row of the query `doctor_audit`: whether rights bind the role, what it may do, whether the trigger is on."""

    superuser: bool
    may_change: bool
    guarded: bool


def examine_audit(db: psycopg.Connection[Any]) -> Finding:
    """Whether the audit is append only for this role. Needs the schema."""
    row = db.cursor(row_factory=class_row(AuditRights)).execute(queries()["doctor_audit"]).fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    if not row.guarded:
        return Finding("audit", "error", "its trigger is gone or off", AUDIT_TRIGGER)
    if row.superuser:
        return Finding("audit", "info", "a trigger alone keeps it: the role is a superuser", AUDIT_SUPERUSER)
    return judge("audit", "append only" if not row.may_change else "may be changed", not row.may_change, "error", AUDIT)


def examine_buffers(db: psycopg.Connection[Any]) -> Finding:
    """Whether PostgreSQL's memory for pages holds the rows that submissions change. Needs the schema."""
    row = db.cursor(row_factory=class_row(Buffers)).execute(queries()["doctor_buffers"]).fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    return judge_buffers(row.buffers, row.scores)


def judge_buffers(buffers: int, scores: int) -> Finding:
    """The finding for these sizes, both in bytes."""
    return judge(
        "PostgreSQL shared_buffers",
        f"{buffers >> 20:,} MiB for {scores >> 20:,} MiB of scores",
        scores <= buffers,
        "warning",
        "submissions wait for pages: set shared_buffers to a quarter of that host's memory",
    )
