"""`leaderboard migrate`: the database schema of this release."""

from __future__ import annotations

from typing import Final

import psycopg

from board.pg import schema
from board.pg.connections import make_write_error
from ctl import output
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.connections import check_pooler, connect_postgres


def run(call: Invocation) -> int:
    """Apply the migrations that the database does not have yet."""
    s, args = call.settings(), call.arguments
    with connect_postgres(s, args.wait, writes=True) as db:
        check_pooler(s, db)
        try:
            applied = schema.migrate(db, output.note, stage=args.stage)
        except psycopg.Error as error:
            raise make_write_error(error, db) from error
    if args.json:
        output.print_json({"applied": applied, "required": schema.required()})
    else:
        output.note(f"applied {len(applied)} migrations" if applied else "the schema is up to date")
    return 0


COMMAND: Final = Command(
    name="migrate",
    summary="Bring the database schema to this release.",
    arguments=(
        argument("--stage", choices=("pre", "post"), help="only the migrations before (pre) or after (post) a deploy"),
        argument("--wait", type=float, default=0, metavar="S", help="seconds to wait for PostgreSQL to answer (0)"),
        JSON,
    ),
    examples=(
        Example("leaderboard migrate --wait 30", "a new database, as soon as it answers"),
        Example("leaderboard migrate --stage pre", "an upgrade: before the first host gets the new release"),
        Example("leaderboard migrate --stage post", "an upgrade: when every host has it"),
    ),
    run=run,
)
