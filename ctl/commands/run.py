"""`leaderboard run`: embedded servers, migrations, API and relays; one Ctrl-C stops all of them."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from board.config.settings import Settings, environment
from board.observe.log import setup
from board.pg import schema
from board.pg.prefix import record_prefix
from board.process.beats import SILENCE_S
from board.process.stop import Stop
from board.process.supervisor import ChildSpec, Supervisor
from ctl import output
from ctl.command import Command, Example, Invocation, argument
from ctl.connections import check_pooler, check_redis, connect_postgres
from ctl.embedded import Embedded, publish
from relay.pool import Pool

READY_WITHIN_S: Final = 30.0
PROBE_TIMEOUT_S: Final = 0.5
SHOWN_SEASON: Final = "demo"
"""The season whose page is named: the one in which `leaderboard demo` plays unless told otherwise."""
DEMO_RATE: Final = 10
"""Submissions a second of `--demo`: enough to see ranks change, and little of the disk of who forgets it for a day."""
DEMO_PLAYERS: Final = 40
"""Few more than a page shows, so that most of what changes is seen."""


def run(call: Invocation) -> int:
    """Start all, block until Ctrl-C or SIGTERM, then stop all in order."""
    # PERF: here, since other commands start in less time without the API's modules.
    from service.server import check_bind

    s = open_on_loopback(call.settings(), call.environ)
    setup(s.log_level, s.log_format)
    check_bind(s)
    # Until all servers are up, both signals interrupt the wait: a crash recovery takes minutes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        servers = stack.enter_context(
            Embedded(
                s.data_dir, postgres=not s.database_url, redis=not s.redis_url, report=output.note, prefer=s.servers
            )
        )
        stop = Stop()
        s = msgspec.structs.replace(
            s,
            database_url=servers.database_url or s.database_url,
            redis_url=servers.redis_url or s.redis_url,
        )
        output.print_settings(s)
        for line in servers.describe():
            output.note(line)
        with connect_postgres(s, writes=True) as db:
            check_pooler(s, db)
            schema.migrate(db, output.note)
            schema.check(db)
            record_prefix(db, s.redis_prefix)
        check_redis(s)
        own = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        found_by = {name: url for name, url in own.items() if url is not None}
        if found_by:
            found_by |= {"LEADERBOARD_BIND": s.bind, "LEADERBOARD_REDIS_PREFIX": s.redis_prefix}
            stack.enter_context(publish(s.data_dir, found_by))
        played = call.arguments.demo and can_play(s)
        announcer = ReadyAnnouncer(s, played)
        pool = Pool(s)

        def watch() -> None:
            servers.keep_running()
            announcer.poll()

        supervisor = Supervisor(
            # The API stops first: the relays still carry all that it has committed.
            [
                # During a reload gunicorn's master is silent for as long as the old workers have to finish.
                ChildSpec("API", [sys.executable, "-m", "ctl", "serve", "--quiet"], SILENCE_S + s.shutdown_grace_s),
                *pool.children,
                *([make_demo()] if played else []),
            ],
            stop,
            env={**os.environ, **environment(s)},
            grace_s=float(s.shutdown_grace_s),
            watch=watch,
            pass_fds=pool.pass_fds,
        )
        status = supervisor.run()
        output.note("stopping the servers")
        return status


def open_on_loopback(s: Settings, environ: Mapping[str, str]) -> Settings:
    """The settings with `auth` open, if only this machine reaches the API and no limit or setting asks for keys."""
    limited = s.limit_key or s.limit_player
    if s.loopback and not limited and not environ.get("LEADERBOARD_AUTH", "").strip():
        return msgspec.structs.replace(s, auth="open")
    return s


def can_play(s: Settings) -> bool:
    """Whether simulated players can submit to this server; says what they lack."""
    if s.tcp is None:
        output.note("no demo: it plays over TCP, and LEADERBOARD_BIND is a socket's path")
    elif s.auth != "open" and not s.key:
        output.note("no demo: the server asks for keys, and LEADERBOARD_KEY is empty")
    else:
        return True
    return False


def make_demo() -> ChildSpec:
    """The simulated players, which wait until the server is ready."""
    options = {"season": SHOWN_SEASON, "rate": DEMO_RATE, "players": DEMO_PLAYERS, "wait": READY_WITHIN_S + SILENCE_S}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ChildSpec("demo", [sys.executable, "-m", "ctl", "demo", "--quiet", *words])


class ReadyAnnouncer:
    """Prints the address of a board's page, the API's, and two requests to try, once, when the API is ready."""

    def __init__(self, s: Settings, played: bool) -> None:
        self.bind: Final = s.bind
        self.admin: Final = f"http://{s.admin_bind or s.bind}/admin"
        self.played: Final = played
        self.header: Final = "" if s.auth == "open" else ' -H "Authorization: Bearer $LEADERBOARD_KEY"'
        self.url: Final = None if s.tcp is None else f"http://{s.bind}"
        self.deadline: Final = time.monotonic() + READY_WITHIN_S
        self.done = False

    def poll(self) -> None:
        """Ask the API for its readiness; print when it is ready, or when `READY_WITHIN_S` has passed."""
        if self.done:
            return
        if self.url is None:
            output.note(f"The leaderboard listens on {self.bind}")
            self.done = True
        elif is_ready(self.url):
            output.rule("The leaderboard is ready")
            for line in (
                f"Look at a live board:  {self.url}/board/{SHOWN_SEASON}",
                f"The operator's page:   {self.admin}",
                f"The API, documented:   {self.url}/docs",
                "",
                f"curl -X POST {self.url}/v1/seasons/spring/scores{self.header} \\",
                '     -H \'Content-Type: application/json\' -d \'{"userId": "ada", "delta": 120}\'',
                f"curl '{self.url}/v1/seasons/spring/leaderboard/rank?userId=ada'{self.header}",
                "",
                "Simulated players move the board." if self.played else "`leaderboard demo` makes the board move.",
                "In another terminal, `leaderboard status` shows the state, `leaderboard --help` lists all commands.",
                "Ctrl-C stops everything; the data stays.",
            ):
                output.note(line)
            output.rule()
            self.done = True
        elif time.monotonic() > self.deadline:
            output.note(f"the API at {self.url} is not ready after {READY_WITHIN_S:.0f} s; see the log above")
            self.done = True


def is_ready(url: str) -> bool:
    """Ask /readyz once; blocks for half a second at most."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=PROBE_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


COMMAND: Final = Command(
    name="run",
    summary="Start everything on this machine: servers (unless their URLs are set), migrations, API, relays.",
    arguments=(
        argument(
            "--bind", setting="LEADERBOARD_BIND", metavar="HOST:PORT", help="address of the API (LEADERBOARD_BIND)"
        ),
        argument(
            "--workers", setting="LEADERBOARD_WORKERS", metavar="N", help="API worker processes (LEADERBOARD_WORKERS)"
        ),
        argument("--relays", setting="LEADERBOARD_RELAYS", metavar="N", help="relay processes (LEADERBOARD_RELAYS)"),
        argument(
            "--data-dir",
            setting="LEADERBOARD_DATA_DIR",
            metavar="DIR",
            type=Path,
            help="data of the servers (LEADERBOARD_DATA_DIR)",
        ),
        argument(
            "--demo", action="store_true", help=f"simulated players, who play in the seasons {SHOWN_SEASON}, demo-…"
        ),
    ),
    examples=(
        Example("leaderboard run", "everything on this machine, at http://127.0.0.1:8080, for this machine only"),
        Example("leaderboard run --demo", "the same, with a board that moves, at http://127.0.0.1:8080/board/demo"),
        Example("leaderboard run --bind 0.0.0.0:8080 --workers 4", "for other machines, whose clients need keys"),
        Example("leaderboard run --data-dir ~/boards", "with the servers' data in a directory of your choice"),
    ),
    run=run,
    attaches=False,
)
