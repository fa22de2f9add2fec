"""`leaderboard restore`: a dump back into PostgreSQL, and every board rebuilt in Redis."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import conninfo
from psycopg.rows import scalar_row

from board.errors import UsageError
from board.pg import schema
from board.pg.prefix import replace_prefix
from board.pg.queries import queries
from board.pg.requirements import check_server
from ctl import output
from ctl.board_rebuild import rebuild_boards
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.connections import check_pooler, connect_postgres
from ctl.postgres_tools import describe_failure, find_meaningful, find_program, read_schema, run_program

_ENTRY: Final = r"\d+; \d+ \d+ "
"""The beginning of an entry in the list of pg_restore: its number, and two of the catalog."""
_ADMINISTRATORS_ENTRY: Final = re.compile(_ENTRY + r"(?:SCHEMA|COMMENT|ACL|DEFAULT ACL) ")


def run(call: Invocation) -> int:
    """Load a dump into the configured schema in one transaction, apply this release's migrations, rebuild Redis.

    Raises `UsageError` if processes of the leaderboard are connected, if the schema has tables (unless `--replace`),
    or if the file is no dump of a schema of this name; `ToolFailed` if pg_restore fails.
    """
    s, args = call.settings(), call.arguments
    source: Path = args.file
    if not source.is_file():
        raise UsageError(f"there is no file {source}")
    with connect_postgres(s, writes=True) as db:
        check_server(db)
        check_pooler(s, db)
        name, tables = read_schema(db)
        if name is None:
            raise UsageError("the schema of the search path does not exist; create it first")
        connected = db.cursor(row_factory=scalar_row).execute(queries()["others_connected"]).fetchall()
        if connected:
            raise UsageError(f"stop the API and the relays first; connected: {', '.join(connected)}")
        if tables and not args.replace:
            raise UsageError(f"schema {name} has {tables} tables; --replace drops them all and restores")
        program = find_program("pg_restore", db.info.server_version // 10_000)
        contents = list_contents(program, source, name)
        if tables:
            drop_contents(db)
        database = db.info.dbname
    with tempfile.NamedTemporaryFile("w", suffix=".list") as chosen:
        chosen.write("\n".join(contents) + "\n")
        chosen.flush()
        argv = [
            program,
            *("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", "--verbose"),
            *(f"--use-list={chosen.name}", f"--dbname={conninfo.make_conninfo(dbname=database)}", str(source)),
        ]
        total = sum(re.match(_ENTRY + "TABLE DATA ", line) is not None for line in contents)
        run_program(argv, s, "processing data for table", total, "restoring", quiet=args.json)
    with connect_postgres(s) as db:
        schema.migrate(db, output.note)
        schema.check(db)
        db.execute(queries()["protect_audit"])
        # The dump may come from a system with another prefix; its boards are built here, under this one.
        replace_prefix(db, s.redis_prefix)
    result = rebuild_boards(s, quiet=args.json)
    if args.json:
        output.print_json(result)
    else:
        output.note(result.describe())
    return 0


def list_contents(program: str, source: Path, schema_name: str) -> list[str]:
    """The dump's table of contents, without the entries that only the database's administrator may create.

    Raises `UsageError` if the file is no dump of a leaderboard in a schema of this name.
    """
    done = subprocess.run([program, "--list", str(source)], capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        told = find_meaningful(done.stderr.strip().splitlines())
        raise UsageError(f"{source} is no backup: {describe_failure(program, done.returncode, told)}")
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(";")]
    lines = [line for line in lines if not _ADMINISTRATORS_ENTRY.match(line)]
    # In this list a line break of a name is a space.
    shown = re.sub(r"[\r\n]", " ", schema_name)
    table = re.compile(_ENTRY + rf"TABLE {re.escape(shown)} schema_migration ")
    if not any(map(table.match, lines)):
        raise UsageError(f"{source} has no leaderboard in a schema named {schema_name}")
    return lines


def drop_contents(db: psycopg.Connection[Any]) -> None:
    """Drop everything in the schema, in one transaction."""
    with db.transaction():
        statements = db.cursor(row_factory=scalar_row).execute(queries()["drops_of_schema"]).fetchall()
        for statement in statements:
            db.execute(statement.encode())


COMMAND: Final = Command(
    name="restore",
    summary="Load a dump into an empty schema, then rebuild every board. Stop API and relays first.",
    arguments=(
        argument("file", metavar="FILE", type=Path, help="the dump"),
        JSON,
        argument("--replace", action="store_true", help="first drop everything in the schema"),
    ),
    examples=(
        Example("leaderboard restore /var/backups/leaderboard.dump", "into an empty database"),
        Example("leaderboard restore --replace /var/backups/leaderboard.dump", "over existing data, which is lost"),
    ),
    run=run,
)
