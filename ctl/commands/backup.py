"""`leaderboard backup`: a dump of PostgreSQL. Redis needs none: `restore` rebuilds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from board.pg import schema
from ctl import output
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.connections import connect_postgres
from ctl.postgres_tools import find_program, read_schema, run_program


def run(call: Invocation) -> int:
    """Write a dump of the configured schema to the file, which appears only when it is complete.

    Raises `UsageError` without a fitting pg_dump, `ToolFailed` if that fails.
    """
    s, target = call.settings(), call.arguments.file
    with connect_postgres(s) as db:
        # The dump of an unsuitable server is the way to a suitable one.
        schema.check_version(db)
        name, tables = read_schema(db)
        assert name is not None, "its version has just been read"
        program = find_program("pg_dump", db.info.server_version // 10_000)
    part = target.with_name(target.name + ".part")
    os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    argv = [
        program,
        *("--format=custom", "--no-owner", "--no-privileges", "--verbose"),
        *(f"--schema={quote_pattern(name)}", f"--file={part}"),
    ]
    try:
        run_program(argv, s, "dumping contents of table", tables, "backing up", quiet=call.arguments.json)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    size = target.stat().st_size
    if call.arguments.json:
        output.print_json({"file": str(target), "bytes": size, "schema": name})
    else:
        output.note(f"{target}: {size:,} bytes, schema {name}")
    return 0


def quote_pattern(name: str) -> str:
    """A schema's name as a pattern of pg_dump that matches nothing else."""
    return '"' + name.replace('"', '""') + '"'


COMMAND: Final = Command(
    name="backup",
    summary="Write a dump of the database to a file (pg_dump's custom format). Redis needs no backup.",
    arguments=(argument("file", metavar="FILE", type=Path, help="the dump"), JSON),
    examples=(Example("leaderboard backup /var/backups/leaderboard.dump", "safe while everything runs"),),
    run=run,
)
