"""Migrations: apply them in order under a lock, and check the version of a database.

A file is ``NNNN_pre_name.sql`` (expand: the old release keeps running on it) or ``NNNN_post_name.sql`` (contract:
only after every process runs the new release).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Literal, cast

import msgspec
import psycopg

from board.errors import WrongSchemaVersion
from board.partitions import PARTITIONS
from board.pg.queries import queries
from board.pg.requirements import check_server

Stage = Literal["pre", "post"]


class Migration(msgspec.Struct, frozen=True):
    """One numbered step; `checksum` is the SHA-256 of its text."""

    version: int
    stage: Stage
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All migrations of this release, in order."""
    found = []
    for entry in files("board.pg.migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_(pre|post)_(\w+)\.sql", entry.name)
        if match:
            stage = cast(Stage, match[2])
            found.append(Migration(int(match[1]), stage, match[3], entry.read_text(encoding="utf-8")))
    return sorted(found, key=lambda m: m.version)


def required() -> int:
    """The schema version this release needs to run: its last `pre` migration."""
    return max(m.version for m in migrations() if m.stage == "pre")


def verdict(versions: list[int]) -> None:
    """Raise `WrongSchemaVersion` unless these applied versions fit this release.

    A newer schema is accepted if it has every migration that this release needs: see expand/contract above.
    """
    if not versions:
        raise WrongSchemaVersion("the database has no leaderboard schema; run `leaderboard migrate`")
    if missing := [m.version for m in migrations() if m.stage == "pre" and m.version not in versions]:
        raise WrongSchemaVersion(
            f"the database schema is at version {max(versions)}, this release needs {missing[-1]}; "
            "run `leaderboard migrate`"
        )


def list_newer(connection: psycopg.Connection[Any]) -> list[str]:
    """The migrations of a newer release in the database, such as `0018_runs`. Needs the schema."""
    known = {m.version for m in migrations()}
    rows = connection.execute(queries()["named_migrations"])
    return [f"{version:04}_{name}" for version, name in rows if version not in known]


def check(connection: psycopg.Connection[Any]) -> None:
    """Raise `UnsuitableServer` or `WrongSchemaVersion` unless server and schema fit this release."""
    check_server(connection)
    check_version(connection)


def check_version(connection: psycopg.Connection[Any]) -> None:
    """Raise `WrongSchemaVersion` unless the schema fits this release."""
    try:
        versions = [version for (version,) in connection.execute(queries()["schema_versions"])]
    except psycopg.errors.UndefinedTable:
        versions = []
    verdict(versions)
    (partitions,) = connection.execute("SELECT partitions FROM cluster").fetchone() or (None,)
    if partitions != PARTITIONS:
        raise WrongSchemaVersion(f"the database was made for {partitions} partitions, this release has {PARTITIONS}")


def migrate(
    connection: psycopg.Connection[Any], report: Callable[[str], None], *, stage: Stage | None = None
) -> list[int]:
    """Apply the missing migrations, each in a transaction of its own; return the versions applied.

    Parameters: an autocommit connection; `stage` limits to `pre` or `post`. Concurrent callers wait for each other.
    Raises `UnsuitableServer`, and `WrongSchemaVersion` if an applied migration is not the one this release has.
    """
    check_server(connection)
    applied_now = []
    lock = "hashtextextended('leaderboard migrate ' || current_schema(), 0)"
    connection.execute(f"SELECT pg_advisory_lock({lock})".encode())
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration ("
            "version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "
            "applied_at timestamptz NOT NULL DEFAULT now())"
        )
        have = dict(connection.execute("SELECT version, checksum FROM schema_migration").fetchall())
        for step in migrations():
            if step.version in have:
                if have[step.version] != step.checksum:
                    raise WrongSchemaVersion(
                        f"migration {step.version:04} in the database is not the one of this release"
                    )
                continue
            if stage is not None and step.stage != stage:
                continue
            report(f"migration {step.version:04} {step.name} ({step.stage})")
            with connection.transaction():
                connection.execute(step.text.encode())
                connection.execute(
                    "INSERT INTO schema_migration (version, name, checksum) VALUES (%s, %s, %s)",
                    (step.version, step.name, step.checksum),
                )
            applied_now.append(step.version)
    finally:
        if not connection.closed:
            connection.execute(f"SELECT pg_advisory_unlock({lock})".encode())
    return applied_now
