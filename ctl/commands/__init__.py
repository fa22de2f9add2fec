"""The subcommands: each takes the settings and its arguments, and returns the exit status."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import psycopg

from _speedups import IMPLEMENTATION
from board.config.settings import Settings, environment
from board.config.shown import shown
from board.errors import ServerUnreachable
from board.observe.log import setup
from board.pg import schema
from board.pg.session import connect
from board.process.stop import Stop
from board.process.supervisor import Supervisor
from board.process.watchdog import Watchdog
from board.redis.sync_redis import Link
from ctl import board_rebuild, output
from ctl.commands import backup as backups
from ctl.commands import demo as demo_game
from ctl.commands import doctor as doctoring
from ctl.commands import key as keying
from ctl.commands import run as running
from ctl.commands import status as statuses
from ctl.comparison import report as verifying
from relay.pool import Pool
from service.http.openapi import release
from service.server import Server, check_bind

__all__ = [
    "backup",
    "demo",
    "doctor",
    "key",
    "migrate",
    "rebuild",
    "relay",
    "release",
    "restore",
    "run",
    "serve",
    "settings",
    "status",
    "verify",
]


def run(s: Settings, args: argparse.Namespace) -> int:
    """Everything on this machine, under one supervisor."""
    setup(s.log_level, s.log_format)
    return running.run(s)


def serve(s: Settings, args: argparse.Namespace) -> int:
    """The API. Checks its servers and its port first: a wrong start is one line, not a crash loop."""
    setup(s.log_level, s.log_format)
    if not args.quiet:
        output.settings(s)
    check_bind(s)
    check_servers(s)
    keying.announce(s)
    try:
        Server(s).run()
    except SystemExit as end:
        # gunicorn's own statuses (3: a worker could not boot, 4: the app could not be loaded) mean other things here.
        return 0 if end.code in (0, None) else 70
    return 0


def relay(s: Settings, args: argparse.Namespace) -> int:
    """The pool of this host."""
    stop = Stop()
    setup(s.log_level, s.log_format)
    output.settings(s)
    check_servers(s)
    pool = Pool(s)
    env = {**os.environ, **environment(s)}
    return Supervisor(
        pool.posts,
        stop,
        env=env,
        grace_s=float(s.shutdown_grace_s),
        watch=Watchdog(os.environ).pat,
        pass_fds=pool.pass_fds,
    ).run()


def migrate(s: Settings, args: argparse.Namespace) -> int:
    """Apply missing migrations."""
    db = patiently(s, args.wait)
    with db:
        applied = schema.migrate(db, output.note, stage=args.stage)
    if args.json:
        output.json({"applied": applied, "required": schema.required()})
    else:
        output.note(f"applied {len(applied)} migrations" if applied else "the schema is up to date")
    return 0


def doctor(s: Settings, args: argparse.Namespace) -> int:
    """Findings with advice."""
    return doctoring.command(s, as_json=args.json)


def backup(s: Settings, args: argparse.Namespace) -> int:
    """A dump of PostgreSQL."""
    return backups.backup(s, args.file, as_json=args.json)


def restore(s: Settings, args: argparse.Namespace) -> int:
    """A dump back into PostgreSQL, and Redis from it."""
    return backups.restore(s, args.file, replace=args.replace, as_json=args.json)


def status(s: Settings, args: argparse.Namespace) -> int:
    """Outbox and fences."""
    if args.watch and not args.json:
        return statuses.watch(s, everything=args.all)
    return statuses.once(s, as_json=args.json, everything=args.all)


def verify(s: Settings, args: argparse.Namespace) -> int:
    """PostgreSQL against Redis."""
    check_servers(s)
    return verifying.command(s, season=args.season, wait_s=args.wait, as_json=args.json)


def rebuild(s: Settings, args: argparse.Namespace) -> int:
    """Boards anew."""
    check_servers(s)
    return board_rebuild.command(s, season=args.season, as_json=args.json)


def demo(s: Settings, args: argparse.Namespace) -> int:
    """Simulated players."""
    return demo_game.command(s, args)


def key(s: Settings, args: argparse.Namespace) -> int:
    """Keys."""
    return keying.command(s, args)


def settings(s: Settings, args: argparse.Namespace) -> int:
    """What is in force."""
    if args.json:
        output.json({**dict(shown(s)), "kernels": IMPLEMENTATION})
    else:
        output.settings(s, to_stdout=True)
    return 0


def check_servers(s: Settings) -> None:
    """Raise unless PostgreSQL answers with the right schema and Redis answers."""
    with connect(s.database_url, "leaderboard-ctl") as db:
        schema.check(db)
    link = Link(s.redis_url, "leaderboard-ctl")
    link.connect()
    link.close()


def patiently(s: Settings, wait_s: float) -> psycopg.Connection[Any]:
    """Connect to PostgreSQL, trying again for `wait_s` seconds."""
    until = time.monotonic() + wait_s
    while True:
        try:
            return connect(s.database_url, "leaderboard-ctl")
        except ServerUnreachable:
            if time.monotonic() >= until:
                raise
            time.sleep(0.25)
