"""The exporter of the relay pool: its metrics, and gauges that it reads from PostgreSQL and Redis at a scrape."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

import psycopg
from psycopg.rows import namedtuple_row

from board.config.settings import Settings
from board.errors import BoardUnavailable, ServerUnreachable
from board.observe.exporter import Collector, export
from board.observe.metrics import Metric, Sample, Sheet
from board.partitions import PARTITIONS
from board.pg.connections import connect, first_line, is_open
from board.pg.queries import queries
from board.process.beats import Beat
from board.process.stop import Stop
from board.redis.masters import read_masters
from board.redis.options import parse_redis_url
from board.redis.topology import Topology
from relay.metrics import AWAY, DATABASE, MASTERS, PERIODS, REGISTRY, STANDBY_LAG, STANDBYS, UP

log: Final = logging.getLogger(__name__)

KEPT_S: Final = 1.0
PATIENCE_S: Final = 2.0
"""The longest wait of a scrape for one that reads the database."""
SESSION: Final = {"statement_timeout": "5s"}


class Database:
    """Reads the database's gauges at a scrape, on one connection, at most once a second. For several threads."""

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self.db: psycopg.Connection[Any] | None = None
        self.lock: Final = threading.Lock()
        self.kept: list[tuple[Metric, list[Sample]]] = []
        self.until = 0.0

    def __call__(self) -> list[tuple[Metric, list[Sample]]]:
        if not self.lock.acquire(timeout=PATIENCE_S):
            return [(UP, [Sample((), 0)])]
        try:
            return self.read_again()
        finally:
            self.lock.release()

    def read_again(self) -> list[tuple[Metric, list[Sample]]]:
        """The gauges, read from the database unless they are of the last second."""
        if time.monotonic() >= self.until:
            try:
                self.kept = self.read()
            except (psycopg.Error, ServerUnreachable) as error:
                log.warning("the metrics of the database cannot be read: %s", first_line(error))
                if self.db is not None:
                    self.db.close()
                self.db = None
                self.kept = [(UP, [Sample((), 0)])]
            self.until = time.monotonic() + KEPT_S
        return self.kept

    def read(self) -> list[tuple[Metric, list[Sample]]]:
        """The gauges of the database, as metrics and samples. Raises `psycopg.Error` or `ServerUnreachable`."""
        if self.db is not None and not is_open(self.db):
            self.db.close()
            self.db = None
        if self.db is None:
            self.db = connect(self.url, "leaderboard-metrics", session=SESSION)
            self.db.row_factory = namedtuple_row
        partitions = self.db.execute(queries()["status"]).fetchall()
        aside = self.db.execute(queries()["seasons_set_aside"]).fetchall()
        (periods,) = self.db.execute(queries()["period_status"]).fetchall()
        standbys = self.db.execute(queries()["standbys"]).fetchall()
        lags = [row.lag_bytes for row in standbys if row.lag_bytes is not None]
        lag = [Sample((), max(lags, default=0))] if lags or not standbys else []
        values: list[float] = [
            1,
            sum(row.pending for row in partitions),
            max(row.oldest_s for row in partitions),
            sum(row.pending > 0 for row in partitions),
            len(aside),
            sum(row.seasons for row in partitions),
            *(float(getattr(periods, column)) for column in PERIODS),
        ]
        gauges = [(metric, [Sample((), value)]) for metric, value in zip(DATABASE, values, strict=True)]
        return [
            *gauges,
            (STANDBYS, [Sample((), len(standbys))]),
            (STANDBY_LAG, lag),
        ]


class Masters:
    """Reads the gauges of Redis' masters at a scrape."""

    def __init__(self, settings: Settings) -> None:
        self._topology: Final = Topology(parse_redis_url(settings.redis_url))
        self._prefix: Final = settings.redis_prefix

    def __call__(self) -> list[tuple[Metric, list[Sample]]]:
        try:
            status = read_masters(self._topology, self._prefix)
        except BoardUnavailable as error:
            log.warning("the metrics of Redis cannot be read: %s", error)
            return [(AWAY, [Sample((), PARTITIONS)])]
        found = [(AWAY, [Sample((), status.away)])]
        for member, metric in MASTERS.items():
            values = [(one.address, getattr(one, member)) for one in status.masters]
            found.append((metric, [Sample((node,), value) for node, value in values if value is not None]))
        return found


def run_exporter(settings: Settings, stop: Stop, fd: int, beat: Beat) -> None:
    """Serve the pool's sheet and the database's gauges until told to stop."""
    database, masters = Database(settings.database_url), Masters(settings)
    collector = Collector(Sheet(REGISTRY, fd), lambda: [*database(), *masters()])
    export(settings.relay_metrics_bind, collector, stop, beat)
