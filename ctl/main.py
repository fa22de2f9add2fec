"""The ``leaderboard`` command: arguments in, exit status out.

0 all is well, 1 `verify` found differences, 2 usage or setting, 3 a server is unreachable, 4 wrong schema version
or unsuitable server, 5 port taken, 6 data directory of another PostgreSQL major, 7 data directory in use, 70 internal
error, 74 a file cannot be read or written.

A new command is a module in ``ctl/commands`` with a `COMMAND`, and a row in `COMMANDS`.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from typing import Final, NoReturn

from board.errors import UsageError
from ctl import failures, output
from ctl.command import Command, Example, Invocation, argument
from ctl.commands import (
    audit,
    backup,
    completion,
    demo,
    doctor,
    erase,
    key,
    migrate,
    rebuild,
    relay,
    restore,
    run,
    season,
    serve,
    settings,
    status,
    top,
    verify,
)
from ctl.parser import Parser, build_parser

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
    top.COMMAND,
    key.COMMAND,
    season.COMMAND,
    audit.COMMAND,
    erase.COMMAND,
    settings.COMMAND,
)
"""All commands, in the order of the help."""


class ShowVersion(argparse.Action):
    """Prints the release, which only then is looked up, and ends the command."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show program's version number and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from board.release import RELEASE

        print(f"leaderboard {RELEASE}")
        parser.exit()


LEADERBOARD: Final = Command(
    name="leaderboard",
    summary="A self-hosted game leaderboard server.",
    arguments=(argument("--version", action=ShowVersion),),
    examples=(
        Example("leaderboard run", "everything on this machine, at http://127.0.0.1:8080"),
        Example("leaderboard demo", "simulated players on that server"),
        Example("leaderboard top demo --live", "their board in the terminal"),
        Example("leaderboard doctor", "check an installation, with advice"),
    ),
    subcommands=COMMANDS,
    metavar="COMMAND",
)


@cache
def make_parser() -> Parser:
    """The parser of all commands, made once."""
    return build_parser(LEADERBOARD)


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit status. An error becomes a line and a status; a defect is raised."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Ids may have characters that the encoding of the terminal has not.
            stream.reconfigure(errors="backslashreplace")
    parser = make_parser()
    arguments = parser.parse_args(argv)
    command: Command = arguments.chosen
    try:
        assert command.run is not None, "argparse requires a subcommand of every group"
        check_texts(arguments)
        status = command.run(Invocation(command, arguments, os.environ, parser))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        output.give_up_stdout()  # its reader has closed it
        return 0
    except failures.EXPECTED as error:
        return report(error, arguments)


def check_texts(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for a text that is not valid UTF-8. Paths may be any bytes."""
    for name, value in vars(arguments).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not text.isascii():
                try:
                    text.encode()
                except UnicodeEncodeError as error:
                    raise UsageError(f"{name} must be valid UTF-8, not {text[:60]!r}") from error


def report(error: Exception, arguments: argparse.Namespace) -> int:
    """Print the error that ended a command; its exit status."""
    failure = failures.explain(error)
    as_json = getattr(arguments, "json", False)
    try:
        output.print_error(failure.text, failure.code, as_json=as_json)
        sys.stdout.flush()
    except OSError:
        output.give_up_stdout()  # it is what failed
        if as_json:
            output.print_error(failure.text, failure.code, as_json=False)
    return failure.exit_code


class DefectsInOneLine:
    """A block whose defects end the process with one line that has their place, and with status 70.

    Without it a traceback would end the process, with the status 1 of differences. `LEADERBOARD_LOG_LEVEL=debug` shows
    the traceback.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception):
            return
        if os.environ.get("LEADERBOARD_LOG_LEVEL") == "debug":
            traceback.print_exception(error)
        failure = failures.explain(error)
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{failure.text} ({place.filename}:{place.lineno}); LEADERBOARD_LOG_LEVEL=debug shows more"
        output.print_error(text, failure.code, as_json="--json" in sys.argv)
        raise SystemExit(failure.exit_code)


def entry() -> NoReturn:
    """The console script."""
    with DefectsInOneLine():
        sys.exit(main(sys.argv[1:]))
