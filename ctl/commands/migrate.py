"""`leaderboard migrate`: the database schema of this release."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg.rows import scalar_row

from board.errors import UsageError
from board.pg import schema
from board.pg.connections import make_write_error
from board.pg.prefix import replace_prefix
from board.pg.queries import queries
from ctl import output
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.connections import check_pooler, connect_postgres


def run(call: Invocation) -> int:
    """Apply the migrations that the database does not have yet.

    With `--adopt-prefix` the prefix of the settings becomes that of the database. Raises `UsageError` if processes of
    the leaderboard are connected.
    """
    s, args = call.settings(), call.arguments
    with connect_postgres(s, args.wait, writes=True) as db:
        check_pooler(s, db)
        if args.adopt_prefix:
            check_alone(db)
        try:
            applied = schema.migrate(db, output.note, stage=args.stage)
            newer = schema.list_newer(db)
            if args.adopt_prefix:
                replace_prefix(db, s.redis_prefix)
        except psycopg.Error as error:
            raise make_write_error(error, db) from error
    if args.json:
        output.print_json({"applied": applied, "required": schema.required(), "newer": newer})
    else:
        output.note(f"applied {len(applied)} migrations" if applied else "the schema is up to date")
        if newer:
            output.note(f"the database has migrations of a newer release, which stay: {', '.join(newer)}")
    return 0


def check_alone(db: psycopg.Connection[Any]) -> None:
    """Raise `UsageError` if processes of the leaderboard are connected."""
    connected = db.cursor(row_factory=scalar_row).execute(queries()["others_connected"]).fetchall()
    if connected:
        raise UsageError(f"stop the API and the relays first; connected: {', '.join(connected)}")


COMMAND: Final = Command(
    name="migrate",
    summary="Bring the database schema to this release.",
    arguments=(
        argument("--stage", choices=("pre", "post"), help="only the migrations before (pre) or after (post) a deploy"),
        argument("--wait", type=float, default=0, metavar="S", help="seconds to wait for PostgreSQL to answer (0)"),
        argument(
            "--adopt-prefix",
            action="store_true",
            help="keep the boards under LEADERBOARD_REDIS_PREFIX from now on; stop API and relays first",
        ),
        JSON,
    ),
    examples=(
        Example("leaderboard migrate --wait 30", "a new database, as soon as it answers"),
        Example("leaderboard migrate --stage pre", "an upgrade: before the first host gets the new release"),
        Example("leaderboard migrate --stage post", "an upgrade: when every host has it"),
    ),
    run=run,
)
