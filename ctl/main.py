"""The ``leaderboard`` command: arguments in, exit status out.

0 all is well, 1 `verify` found differences, 2 usage or setting, 3 a server is unreachable, 4 wrong schema version,
5 port taken, 6 data directory of another PostgreSQL major, 7 data directory in use, 70 internal error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import shtab

from board.config.settings import Settings, load
from board.errors import LeaderboardError
from ctl import commands
from ctl.commands.key import SCOPES
from ctl.parser import Formatter, epilog

EPILOG = "Settings come from the environment: `leaderboard settings` lists them, docs/settings.md explains them."


class Parser(argparse.ArgumentParser):
    """Usage errors as one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"leaderboard: {message} (see `{self.prog} --help`)\n")


def shown(name: str) -> dict[str, Any]:
    """What the help of a command ends with."""
    return {"epilog": epilog(name, EPILOG), "formatter_class": Formatter}


def parser() -> Parser:
    """All subcommands with their arguments."""
    top = Parser(prog="leaderboard", description="A self-hosted game leaderboard server.", **shown(""))
    top.add_argument("--version", action="version", version=f"leaderboard {commands.release()}")
    sub = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = sub.add_parser(name, help=text, description=text, **shown(name))
        made.set_defaults(call=getattr(commands, name))
        return made

    run = add("run", "Start everything on this machine: servers (unless their URLs are set), migrations, API, relays.")
    run.add_argument("--bind", metavar="HOST:PORT", help="address of the API (LEADERBOARD_BIND)")
    run.add_argument("--workers", metavar="N", help="API worker processes (LEADERBOARD_WORKERS)")
    run.add_argument("--relays", metavar="N", help="relay processes (LEADERBOARD_RELAYS)")
    run.add_argument("--data-dir", metavar="DIR", type=Path, help="data of the servers (LEADERBOARD_DATA_DIR)")

    serve = add("serve", "Run the HTTP API under gunicorn.")
    serve.add_argument("--bind", metavar="HOST:PORT", help="address to listen on (LEADERBOARD_BIND)")
    serve.add_argument("--quiet", action="store_true", help="do not print the settings")
    serve.add_argument("--workers", metavar="N", help="worker processes (LEADERBOARD_WORKERS)")

    relay = add("relay", "Run a pool of relays, which carry changes from PostgreSQL to Redis.")
    relay.add_argument("--processes", metavar="N", dest="relays", help="relay processes (LEADERBOARD_RELAYS)")

    migrate = add("migrate", "Bring the database schema to this release.")
    migrate.add_argument("--stage", choices=("pre", "post"), help="only before (pre) or after (post) a deploy")
    migrate.add_argument("--wait", type=float, default=0, metavar="S", help="wait this long for PostgreSQL to answer")
    migrate.add_argument("--json", action="store_true", help="print JSON")

    status = add("status", "Show what waits in the outbox and where every partition's fence is.")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.add_argument("--all", action="store_true", help="list idle partitions too")
    status.add_argument("--watch", action="store_true", help="refresh every second until Ctrl-C")

    verify = add("verify", "Compare PostgreSQL and Redis completely and exactly. Exit status 0 only when equal.")
    verify.add_argument("--season", metavar="S", help="only this season")
    verify.add_argument("--wait", type=float, default=10.0, metavar="S", help="seconds to let relays finish (10)")
    verify.add_argument("--json", action="store_true", help="print JSON")

    rebuild = add("rebuild", "Load boards into Redis anew from PostgreSQL, and swap them in at once.")
    which = rebuild.add_mutually_exclusive_group(required=True)
    which.add_argument("--season", metavar="S", help="the partition this season belongs to")
    which.add_argument("--all", action="store_true", help="every partition")
    rebuild.add_argument("--json", action="store_true", help="print JSON")

    doctor = add(
        "doctor",
        "Look for what is wrong with an installation, or will be: servers, their settings, clock, disk, schema, "
        "relays, keys. Exit status 1 when there is an error.",
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")

    backup = add("backup", "Write a dump of the database to a file (pg_dump's custom format). Redis needs no backup.")
    restore = add(
        "restore", "Load a dump into an empty schema, then build every board anew. Stop API and relays first."
    )
    for command in (backup, restore):
        command.add_argument("file", metavar="FILE", type=Path, help="the dump")
        command.add_argument("--json", action="store_true", help="print JSON")
    restore.add_argument("--replace", action="store_true", help="drop what the schema has, and restore")

    completion = sub.add_parser(
        "completion",
        help="Print a completion script for a shell.",
        description="Print a completion script for a shell.",
        **shown("completion"),
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))

    demo = add("demo", "Simulated players that submit to a running server.")
    demo.add_argument("--url", default=None, metavar="URL", help="the server (http:// and LEADERBOARD_BIND)")
    demo.add_argument("--season", default="demo", metavar="S", help="season to play in (demo)")
    demo.add_argument("--players", type=int, default=200, metavar="N", help="number of players (200)")
    demo.add_argument("--rate", type=float, default=100.0, metavar="R", help="submissions a second (100)")
    demo.add_argument("--seconds", type=float, default=None, metavar="S", help="stop after this time (Ctrl-C)")
    demo.add_argument("--seed", type=int, default=None, metavar="N", help="play the same game again")
    demo.add_argument("--json", action="store_true", help="no living board, print the final figures as JSON")

    key = add("key", "Keys: who may read, submit, administrate.")
    keys = key.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)

    def add_key(verb: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = keys.add_parser(verb, help=text, description=text, **shown(f"key {verb}"))
        made.add_argument("--json", action="store_true", help="print JSON")
        return made

    create = add_key("create", "Make a key. Its text is printed to standard output, once and nowhere else.")
    create.add_argument("--name", required=True, metavar="NAME", help="whose it is, for the list")
    create.add_argument("--scopes", required=True, metavar="S,...", help=f"of {', '.join(SCOPES)}")
    create.add_argument("--season", action="append", metavar="S", help="good for this season only (repeatable)")
    create.add_argument("--days", type=int, metavar="N", help="valid that many days (until it is revoked)")
    add_key("list", "Show all keys, without their secrets.")
    rotate = add_key("rotate", "Give a key a successor; for a time of grace both are valid.")
    rotate.add_argument("id", metavar="ID", help="what stands between the key's first two underscores")
    rotate.add_argument("--grace", type=int, metavar="S", help="seconds the old one stays valid (one day)")
    revoke = add_key("revoke", "End a key, everywhere within two seconds.")
    revoke.add_argument("id", metavar="ID", help="what stands between the key's first two underscores")

    settings = add("settings", "Show the settings in force, secrets masked.")
    settings.add_argument("--json", action="store_true", help="print JSON")
    return top


def overridden(environ: Mapping[str, str], args: argparse.Namespace) -> Settings:
    """Settings of the environment, with those given as options on top."""
    env = dict(environ)
    for option, variable in (
        ("bind", "LEADERBOARD_BIND"),
        ("workers", "LEADERBOARD_WORKERS"),
        ("relays", "LEADERBOARD_RELAYS"),
        ("data_dir", "LEADERBOARD_DATA_DIR"),
    ):
        value = getattr(args, option, None)
        if value is not None:
            env[variable] = str(value)
    settings = load(env)
    limited = settings.limit_key or settings.limit_player
    if args.command == "run" and settings.loopback and not limited and not env.get("LEADERBOARD_AUTH", "").strip():
        # One command on one's own machine: nobody else reaches it.
        return msgspec.structs.replace(settings, auth="open")
    return settings


def main(argv: Sequence[str]) -> int:
    """Run one command; the exit status."""
    commands_of = parser()
    args = commands_of.parse_args(argv)
    if args.command == "completion":
        print(shtab.complete(commands_of, args.shell))
        return 0
    try:
        status: int = args.call(overridden(os.environ, args), args)
        sys.stdout.flush()
        return status
    except LeaderboardError as error:
        if getattr(args, "json", False):
            sys.stdout.buffer.write(msgspec.json.encode({"error": str(error), "code": error.code}) + b"\n")
        print(f"leaderboard: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has enough; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def entry() -> NoReturn:
    """The console script."""
    sys.exit(main(sys.argv[1:]))
