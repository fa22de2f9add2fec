"""Housekeeping of the database: rows of ended periods, days of the ledger. One janitor at a time, in small bites."""

from __future__ import annotations

import logging
from typing import Final

import psycopg

from board.errors import ServerUnreachable
from board.settings import Settings
from board.sql import connect, first_line, queries
from board.stop import Stop

log: Final = logging.getLogger("janitor")

BITE: Final = 2_000
REST_S: Final = 0.02
EVERY_S: Final = 5.0
DAYS_AHEAD: Final = 7
SESSION: Final = {"lock_timeout": "300ms"}


class Janitor:
    """A process beside the relays. All janitors of all hosts agree by an advisory lock which one works."""

    def __init__(self, settings: Settings, stop: Stop) -> None:
        self.settings: Final = settings
        self.stop: Final = stop
        self.sql: Final = queries()

    def run(self) -> None:
        """Work until stopped."""
        while not self.stop.requested:
            try:
                with connect(self.settings.database_url, "leaderboard-janitor", session=SESSION) as db:
                    self.keep_house(db)
            except (psycopg.OperationalError, psycopg.InterfaceError, ServerUnreachable) as error:
                log.warning("connection lost: %s", first_line(error))
                self.stop.wait(EVERY_S)

    def keep_house(self, db: psycopg.Connection[tuple[object, ...]]) -> None:
        """With the lock: collect and prepare, again and again. Without it: wait for it to come free."""
        mine = False
        while not self.stop.requested:
            if not mine:
                row = db.execute(self.sql["try_janitor"]).fetchone()
                mine = bool(row and row[0])
            if mine:
                self.prepare_ledger(db)
                self.collect(db)
                self.forget_keys(db)
            self.stop.wait(EVERY_S)

    def prepare_ledger(self, db: psycopg.Connection[tuple[object, ...]]) -> None:
        """Make the ledger's next days and drop its oldest."""
        try:
            row = db.execute(self.sql["ledger_prepare"], {"ahead": DAYS_AHEAD}).fetchone()
            if row and row[0]:
                log.info("ledger: %s new days", row[0])
            if self.settings.ledger_days:
                row = db.execute(self.sql["ledger_drop"], {"days": self.settings.ledger_days}).fetchone()
                if row and row[0]:
                    log.info("ledger: %s old days dropped", row[0])
        except psycopg.errors.LockNotAvailable:
            # Submissions must not queue behind us; there is another time.
            log.info("the ledger is busy, its days are looked after later")

    def collect(self, db: psycopg.Connection[tuple[object, ...]]) -> int:
        """Delete the rows of ended periods, a bite at a time; returns how many went."""
        gone = 0
        for (period,) in db.execute(self.sql["ended_periods"]).fetchall():
            while not self.stop.requested:
                bite = db.execute(self.sql["collect_scores"], {"period": period, "limit": BITE}).rowcount
                gone += bite
                if bite < BITE:
                    db.execute(self.sql["collect_period"], {"period": period})
                    break
                self.stop.wait(REST_S)
        if gone:
            log.info("collected %d rows of ended periods", gone)
        return gone

    def forget_keys(self, db: psycopg.Connection[tuple[object, ...]]) -> int:
        """Delete idempotency keys older than their retention, a bite at a time; returns how many went."""
        gone = 0
        parameters = {"minutes": self.settings.idempotency_minutes, "limit": BITE}
        while not self.stop.requested:
            bite = db.execute(self.sql["forget_keys"], parameters).rowcount
            gone += bite
            if bite < BITE:
                break
            self.stop.wait(REST_S)
        if gone:
            log.info("forgot %d idempotency keys", gone)
        return gone
