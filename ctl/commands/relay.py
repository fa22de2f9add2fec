"""`leaderboard relay`: the pool of relays on this host."""

from __future__ import annotations

import os
from typing import Final

from board.config.settings import environment
from board.observe.log import setup
from board.process.stop import Stop
from board.process.supervisor import Supervisor
from board.process.watchdog import Watchdog
from ctl import output
from ctl.command import Command, Example, Invocation, argument
from ctl.connections import check_servers
from relay.pool import Pool


def run(call: Invocation) -> int:
    """Run the pool until SIGTERM or Ctrl-C."""
    s = call.settings()
    stop = Stop()
    setup(s.log_level, s.log_format)
    output.print_settings(s)
    check_servers(s, starts=True)
    pool = Pool(s)
    return Supervisor(
        pool.children,
        stop,
        env={**os.environ, **environment(s)},
        grace_s=float(s.shutdown_grace_s),
        watch=Watchdog(os.environ).pat,
        pass_fds=pool.pass_fds,
    ).run()


COMMAND: Final = Command(
    name="relay",
    summary="Run a pool of relays, which carry changes from PostgreSQL to Redis.",
    arguments=(
        argument("--processes", setting="LEADERBOARD_RELAYS", metavar="N", help="relay processes (LEADERBOARD_RELAYS)"),
    ),
    examples=(
        Example("leaderboard relay", "as many relays as LEADERBOARD_RELAYS says"),
        Example("leaderboard relay --processes 4", "four; any number on any number of hosts works together"),
    ),
    run=run,
    attaches=False,
)
