"""The ``leaderboard`` command: arguments in, exit status out.

0 all is well, 1 `verify` found differences, 2 usage or setting, 3 a server is unreachable, 4 wrong schema version
or unsuitable server, 5 port taken, 6 data directory of another PostgreSQL major, 7 data directory in use, 70 internal
error.

A new command is a module in ``ctl/commands`` with a `COMMAND`, and a row in `COMMANDS`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import msgspec

from board.errors import LeaderboardError
from ctl.command import Command, Example, Invocation, argument
from ctl.commands import (
    backup,
    completion,
    demo,
    doctor,
    key,
    migrate,
    rebuild,
    relay,
    restore,
    run,
    serve,
    settings,
    status,
    verify,
)
from ctl.parser import build_parser
from service.http.openapi import read_release

COMMANDS: Final = (
    run.COMMAND,
    serve.COMMAND,
    relay.COMMAND,
    migrate.COMMAND,
    status.COMMAND,
    verify.COMMAND,
    rebuild.COMMAND,
    doctor.COMMAND,
    backup.COMMAND,
    restore.COMMAND,
    completion.COMMAND,
    demo.COMMAND,
    key.COMMAND,
    settings.COMMAND,
)
"""All commands, in the order of the help."""

LEADERBOARD: Final = Command(
    name="leaderboard",
    summary="A self-hosted game leaderboard server.",
    arguments=(argument("--version", action="version", version=f"leaderboard {read_release()}"),),
    examples=(
        Example("leaderboard run", "everything on this machine, at http://127.0.0.1:8080"),
        Example("leaderboard demo", "simulated players on that server"),
        Example("leaderboard doctor", "check an installation, with advice"),
    ),
    subcommands=COMMANDS,
    metavar="COMMAND",
)


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    parser = build_parser(LEADERBOARD)
    arguments = parser.parse_args(argv)
    command: Command = arguments.chosen
    try:
        assert command.run is not None, "argparse requires a subcommand of every group"
        status = command.run(Invocation(command, arguments, os.environ, parser))
        sys.stdout.flush()
        return status
    except LeaderboardError as error:
        if getattr(arguments, "json", False):
            sys.stdout.buffer.write(msgspec.json.encode({"error": str(error), "code": error.code}) + b"\n")
        print(f"leaderboard: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has closed our output; without this the interpreter complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def entry() -> NoReturn:
    """The console script."""
    sys.exit(main(sys.argv[1:]))
