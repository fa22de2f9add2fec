"""Composition root of a relay process: ``python -m relay carry`` or ``janitor``. Started by the supervisor."""

from __future__ import annotations

import sys

from board.errors import LeaderboardError
from board.log import setup
from board.settings import load
from board.stop import Stop
from relay.actor import Relay
from relay.janitor import Janitor


def main(argv: list[str]) -> int:
    """Run one actor until it is told to stop; the exit status."""
    if argv not in (["carry"], ["janitor"]):
        print("usage: python -m relay {carry|janitor}", file=sys.stderr)
        return 2
    stop = Stop()
    try:
        settings = load()
        setup(settings.log_level)
        if argv == ["carry"]:
            Relay(settings, stop).run()
        else:
            Janitor(settings, stop).run()
    except LeaderboardError as error:
        print(f"leaderboard: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
