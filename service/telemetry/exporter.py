"""The exporter of all workers' metrics, run by gunicorn's master: ``python -m service.telemetry.exporter FD``."""

from __future__ import annotations

import os
import sys
import time
from typing import Final

from board.config.load import load
from board.config.settings import Settings, environment
from board.errors import LeaderboardError
from board.observe.exporter import Collector, export
from board.observe.log import setup
from board.observe.metrics import Sheet
from board.process.beats import Beat, Beats
from board.process.stop import Stop
from board.process.supervisor import Child, ChildSpec
from service.telemetry.metrics import REGISTRY


class ExporterSupervisor:
    """Keeps the exporter of a sheet running. Without `metrics_bind` in the settings there is none.

    The kernel ends the exporter with the master. No end of the exporter ends the master.
    """

    def __init__(self, settings: Settings, sheet: Sheet) -> None:
        self.child: Final = Child(
            ChildSpec("metrics", [sys.executable, "-m", "service.telemetry.exporter", str(sheet.fd)]),
            Beats(1),
            0,
            env={**os.environ, **environment(settings)},
            pass_fds=(sheet.fd,),
        )
        self.wanted: Final = bool(settings.metrics_bind)

    def keep_running(self) -> None:
        """Start the exporter if it does not run, and kill it if it stands still."""
        if self.wanted:
            self.child.keep_running(time.monotonic())


def main(argv: list[str]) -> int:
    """Export until stopped; returns the exit status."""
    stop = Stop()
    beat = Beat.inherit(os.environ)
    try:
        settings = load()
        setup(settings.log_level, settings.log_format)
        export(settings.metrics_bind, Collector(Sheet(REGISTRY, int(argv[0]))), stop, beat)
    except LeaderboardError as error:
        print(f"leaderboard: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
