"""The exporter of all workers' metrics, run by gunicorn's master: ``python -m service.telemetry.exporter FD``."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from typing import Final

from board.config.load import load
from board.config.settings import Settings, environment
from board.errors import LeaderboardError
from board.observe.exporter import Collector, export
from board.observe.log import setup
from board.observe.metrics import Sheet
from board.process.backoff import Backoff
from board.process.children import spawn
from board.process.stop import Stop
from service.telemetry.metrics import REGISTRY

log: Final = logging.getLogger(__name__)


class ExporterSupervisor:
    """Keeps the exporter of a sheet running. Without `metrics_bind` in the settings there is none.

    The kernel ends the exporter with the master.
    """

    def __init__(self, settings: Settings, sheet: Sheet) -> None:
        self.settings: Final = settings
        self.sheet: Final = sheet
        self.process: subprocess.Popen[bytes] | None = None
        self.backoff: Final = Backoff(0.2, 5.0)
        self.due = 0.0

    def keep_running(self) -> None:
        """Start the exporter if it does not run. `poll` works even if gunicorn has already reaped the process."""
        if not self.settings.metrics_bind:
            return
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            delay = self.backoff.failed()
            log.error("the metrics' exporter has ended; it starts again in %.1f s", delay)
            self.process, self.due = None, now + delay
        if self.process is None and now >= self.due:
            argv = [sys.executable, "-m", "service.telemetry.exporter", str(self.sheet.fd)]
            env = {**os.environ, **environment(self.settings)}
            self.process = spawn(argv, env=env, pass_fds=(self.sheet.fd,))


def main(argv: list[str]) -> int:
    """Export until stopped; returns the exit status."""
    stop = Stop()
    try:
        settings = load()
        setup(settings.log_level, settings.log_format)
        export(settings.metrics_bind, Collector(Sheet(REGISTRY, int(argv[0]))), stop)
    except LeaderboardError as error:
        print(f"leaderboard: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
