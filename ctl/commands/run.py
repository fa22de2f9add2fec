"""`leaderboard run`: embedded servers, migrations, API and relays, one Ctrl-C for all of them."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from typing import Final

import msgspec

from board.config.settings import Settings, environment
from board.pg import schema
from board.pg.session import connect
from board.process.stop import Stop
from board.process.supervisor import Post, Supervisor
from board.redis.sync_redis import Link
from ctl import output
from ctl.embedded import Embedded
from relay.pool import Pool
from service.server import check_bind

READY_WITHIN_S: Final = 30.0


def run(s: Settings) -> int:
    """Start all, block until Ctrl-C or SIGTERM, stop all in order; the exit status."""
    check_bind(s)
    # Until all servers are up, both signals interrupt whatever is being waited for (a crash recovery takes minutes).
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Embedded(
        s.data_dir, postgres=not s.database_url, redis=not s.redis_url, report=output.note, prefer=s.servers
    ) as servers:
        stop = Stop()
        s = msgspec.structs.replace(
            s,
            database_url=servers.database_url or s.database_url,
            redis_url=servers.redis_url or s.redis_url,
        )
        output.settings(s)
        for line in servers.describe():
            output.note(line)
        with connect(s.database_url, "leaderboard-ctl") as db:
            schema.migrate(db, output.note)
            schema.check(db)
        Link(s.redis_url, "leaderboard-ctl").connect()
        announcer = Announcer(s)
        pool = Pool(s)

        def watch() -> None:
            servers.check()
            announcer.look()

        everything = Supervisor(
            # The API goes first when all stop: what it has taken is committed, and the relays still carry it.
            [Post("API", [sys.executable, "-m", "ctl", "serve", "--quiet"]), *pool.posts],
            stop,
            env={**os.environ, **environment(s)},
            grace_s=float(s.shutdown_grace_s),
            watch=watch,
            pass_fds=pool.pass_fds,
        )
        status = everything.run()
        output.note("stopping the servers")
        return status


class Announcer:
    """Says once, when the API is ready, where it is and what to do next."""

    def __init__(self, s: Settings) -> None:
        self.bind: Final = s.bind
        self.header: Final = "" if s.auth == "open" else ' -H "Authorization: Bearer $LEADERBOARD_KEY"'
        self.url: Final = None if s.tcp is None else f"http://{s.bind}"
        self.until: Final = time.monotonic() + READY_WITHIN_S
        self.done = False

    def look(self) -> None:
        """Ask the API whether it is ready; print the URL when it is."""
        if self.done:
            return
        if self.url is None:
            output.note(f"The leaderboard listens on {self.bind}")
            self.done = True
        elif self.ready(self.url):
            output.stderr.rule(f"The leaderboard is at [bold]{self.url}[/bold]")
            for line in (
                f"curl -X POST {self.url}/v1/seasons/spring/scores{self.header} \\",
                '     -H \'Content-Type: application/json\' -d \'{"userId": "ada", "delta": 120}\'',
                f"curl '{self.url}/v1/seasons/spring/leaderboard/rank?userId=ada'{self.header}",
                "",
                "In another terminal, `make demo` brings it to life. Ctrl-C stops everything; the data stays.",
            ):
                output.note(line)
            output.stderr.rule()
            self.done = True
        elif time.monotonic() > self.until:
            output.note(f"the API at {self.url} is not ready after {READY_WITHIN_S:.0f} s; see the log above")
            self.done = True

    @staticmethod
    def ready(url: str) -> bool:
        """One short look at /readyz."""
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=0.5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
