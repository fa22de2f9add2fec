"""Housekeeping of the database: rows of ended periods, days of the ledger. One janitor at a time, in small bites."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import psycopg

from board.config.settings import Settings
from board.errors import ServerUnreachable
from board.pg.connections import connect, first_line
from board.pg.queries import queries
from board.process.stop import Stop

log: Final = logging.getLogger("janitor")

BITE: Final = 2_000
REST_S: Final = 0.02
EVERY_S: Final = 5.0
DAYS_AHEAD: Final = 7
BUSY_S: Final = 60.0
SESSION: Final = {"lock_timeout": "100ms"}


class Janitor:
    """A process beside the relays. All janitors of all hosts agree by an advisory lock which one works."""

    def __init__(self, settings: Settings, stop: Stop, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings: Final = settings
        self.stop: Final = stop
        self.clock: Final = clock
        self.next_ledger = 0.0
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
                self.keep_ledger(db)
                self.collect(db)
                self.forget_keys(db)
                self.in_bites(db, "forget_traces", {})
            self.stop.wait(EVERY_S)

    def keep_ledger(self, db: psycopg.Connection[tuple[object, ...]]) -> int:
        """Make the ledger's next days and drop its oldest, one by one; returns how many days were dropped.

        A lock that somebody's long transaction keeps from us would make submissions queue behind us, for as long as we
        are willing to wait. So that is short, and after a refusal there is a long rest.
        """
        dropped = 0
        if self.clock() < self.next_ledger:
            return dropped
        try:
            with db.transaction():
                db.execute(self.sql["ledger_hold"])
                row = db.execute(self.sql["ledger_prepare"], {"ahead": DAYS_AHEAD}).fetchone()
            if row and row[0]:
                log.info("ledger: %s new days", row[0])
            if days := self.settings.ledger_days:
                while not self.stop.requested:
                    row = db.execute(self.sql["ledger_drop"], {"days": days}).fetchone()
                    if not row or not row[0]:
                        break
                    dropped += 1
                    self.stop.wait(REST_S)
                self.in_bites(db, "ledger_sweep", {"days": days})
        except psycopg.errors.LockNotAvailable:
            self.next_ledger = self.clock() + BUSY_S
            log.info("the ledger is busy, its days are looked after later")
        if dropped:
            log.info("ledger: %d old days dropped", dropped)
        return dropped

    def collect(self, db: psycopg.Connection[tuple[object, ...]]) -> int:
        """Delete the rows of ended periods, a bite at a time; returns how many went."""
        gone = 0
        for (period,) in db.execute(self.sql["ended_periods"]).fetchall():
            gone += self.in_bites(db, "collect_scores", {"period": period})
            if not self.stop.requested:
                db.execute(self.sql["collect_period"], {"period": period})
        if gone:
            log.info("collected %d rows of ended periods", gone)
        return gone

    def forget_keys(self, db: psycopg.Connection[tuple[object, ...]]) -> int:
        """Delete idempotency keys older than their retention, a bite at a time; returns how many went."""
        gone = self.in_bites(db, "forget_keys", {"minutes": self.settings.idempotency_minutes})
        if gone:
            log.info("forgot %d idempotency keys", gone)
        return gone

    def in_bites(self, db: psycopg.Connection[tuple[object, ...]], name: str, parameters: dict[str, object]) -> int:
        """Repeat a bounded deletion until a bite is not full; returns how many rows went."""
        gone = 0
        while not self.stop.requested:
            bite = db.execute(self.sql[name], {**parameters, "limit": BITE}).rowcount
            gone += bite
            if bite < BITE:
                break
            self.stop.wait(REST_S)
        return gone
