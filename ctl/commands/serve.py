"""`leaderboard serve`: the HTTP API under gunicorn."""

from __future__ import annotations

import logging
from typing import Final

import psycopg

from board.audit import Act
from board.config.settings import Settings
from board.observe.log import setup
from board.pg.connections import make_write_error
from ctl import output
from ctl.acts import make_act
from ctl.command import Command, Example, Invocation, argument
from ctl.connections import check_servers, connect_postgres
from service.keys import store as keystore

log: Final = logging.getLogger(__name__)


def run(call: Invocation) -> int:
    """Run the API until it is told to stop.

    Checks port and servers first, so that a wrong start is one line instead of a crash loop.
    """
    # PERF: here, since other commands start in less time without the API's modules.
    from service.server import Server, check_bind

    s = call.settings()
    setup(s.log_level, s.log_format)
    if not call.arguments.quiet:
        output.print_settings(s)
    check_bind(s)
    check_servers(s, starts=True)
    if s.auth == "open":
        warn_of_open_access(s)
    else:
        create_first_key(s, make_act(call))
    try:
        Server(s, quiet=call.arguments.quiet).run()
    except SystemExit as end:
        # gunicorn's statuses 3 (a worker did not boot) and 4 (the app did not load) have other meanings here.
        return 0 if end.code in (0, None) else 70
    return 0


def warn_of_open_access(s: Settings) -> None:
    """Say that the API takes requests without a key."""
    text = f"OPEN: every client that reaches {s.bind} may read, submit and reset without a key (LEADERBOARD_AUTH=open)"
    if s.log_format == "json":
        log.warning(text)
    else:
        output.note(text)


def create_first_key(s: Settings, act: Act) -> None:
    """Create and print a key with all scopes, unless a key was ever created.

    Raises `ServerUnreachable`, and `StoreUnavailable` or `OutcomeUnknown` if PostgreSQL refuses.
    """
    with connect_postgres(s) as db:
        try:
            new = keystore.create_first_key(db, act)
        except psycopg.Error as error:
            raise make_write_error(error, db) from error
    if new is not None:
        output.note(
            "There was no key yet. This one has all scopes, and is not shown again; create others with "
            "`leaderboard key create`:"
        )
        output.note(f"LEADERBOARD_KEY={new.key}")


COMMAND: Final = Command(
    name="serve",
    summary="Run the HTTP API under gunicorn.",
    arguments=(
        argument(
            "--bind", setting="LEADERBOARD_BIND", metavar="HOST:PORT", help="address to listen on (LEADERBOARD_BIND)"
        ),
        argument("--quiet", action="store_true", help="print neither the settings nor that it starts and stops"),
        argument(
            "--workers", setting="LEADERBOARD_WORKERS", metavar="N", help="worker processes (LEADERBOARD_WORKERS)"
        ),
    ),
    examples=(
        Example("leaderboard serve --bind unix:/run/leaderboard/api.sock", "behind a proxy"),
        Example("LEADERBOARD_METRICS_BIND=127.0.0.1:9464 leaderboard serve --workers 4", "with metrics"),
    ),
    run=run,
    attaches=False,
)
