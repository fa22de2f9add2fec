"""Composition root of a relay process, run by the supervisor.

`python -m relay {carry [FD ROW]|janitor|keeper|metrics FD}`
"""

from __future__ import annotations

import os
import sys

from board.config.load import load
from board.errors import LeaderboardError
from board.observe.log import setup
from board.observe.metrics import Row, Sheet
from board.observe.tracers import tracer_of
from board.process.beats import Beat
from board.process.heap import freeze_heap
from board.process.stop import Stop
from relay.metrics import REGISTRY


def main(argv: list[str]) -> int:
    """Run one actor until it is told to stop; the exit status."""
    match argv:
        case ["carry"]:
            row = Row.private(REGISTRY)
        case ["carry", fd, number]:
            row = Sheet(REGISTRY, int(fd)).row(int(number))
        case ["janitor"] | ["keeper"] | ["metrics", _]:
            pass
        case _:
            print("usage: python -m relay {carry [FD ROW]|janitor|keeper|metrics FD}", file=sys.stderr)
            return 2
    stop = Stop()
    beat = Beat.inherit(os.environ)
    try:
        settings = load()
        setup(settings.log_level, settings.log_format)
        # PERF: each process imports only its own actor.
        if argv[0] == "carry":
            from relay.actor import Relay

            tracer = tracer_of(settings, "relay")
            actor = Relay(settings, stop, row=row, tracer=tracer, beat=beat)
            freeze_heap()
            actor.run()
            if tracer is not None:
                tracer.close()
        elif argv[0] == "metrics":
            from relay.exporter import run_exporter

            run_exporter(settings, stop, int(argv[1]), beat)
        elif argv[0] == "keeper":
            from relay.keeper import PeriodKeeper

            PeriodKeeper(settings, stop, beat).run()
        else:
            from relay.janitor import Janitor

            Janitor(settings, stop, beat).run()
    except LeaderboardError as error:
        print(f"leaderboard: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
