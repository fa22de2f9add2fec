"""The janitor: deletes ended periods, old keys, traces and erased players, and keeps the days of the ledger.

It works a few rows at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import psycopg

from board.config.settings import Settings
from board.errors import ServerUnreachable
from board.pg import erasure
from board.pg.connections import connect, first_line
from board.pg.queries import queries
from board.process.beats import Beat
from board.process.stop import Stop

log: Final = logging.getLogger(__name__)

BITE: Final = 2_000
REST_S: Final = 0.02
EVERY_S: Final = 5.0
DAYS_AHEAD: Final = 7
BUSY_S: Final = 60.0
SESSION: Final = {"lock_timeout": "100ms"}


class Janitor:
    """A process beside the relays. An advisory lock makes one janitor of all hosts the active one."""

    def __init__(
        self,
        settings: Settings,
        stop: Stop,
        beat: Beat | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings: Final = settings
        self.stop: Final = stop
        self.beat: Final = beat or Beat()
        self.clock: Final = clock
        self.next_ledger = 0.0
        self.sql: Final = queries()

    def run(self) -> None:
        """Work until stopped; reconnect after a lost connection, and where PostgreSQL accepts no changes."""
        while not self.stop.requested:
            try:
                with self.beat.waiting():
                    db = connect(self.settings.database_url, "leaderboard-janitor", session=SESSION, writes=True)
                with db:
                    self.keep_house(db)
            except (
                psycopg.OperationalError,
                psycopg.InterfaceError,
                psycopg.errors.ReadOnlySqlTransaction,
                ServerUnreachable,
            ) as error:
                log.warning("connection lost: %s", first_line(error))
                self.stop.wait(EVERY_S)

    def keep_house(self, db: psycopg.Connection[tuple[object, ...]]) -> None:
        """With the lock, do all housekeeping every few seconds; without it, wait for it."""
        mine = False
        while not self.stop.requested:
            with self.beat.waiting():
                if not mine:
                    mine = bool(self.value(db, "try_janitor"))
                if mine:
                    self.tidy(db)
                    self.erase(db)
            self.stop.wait(EVERY_S)

    def tidy(self, db: psycopg.Connection[tuple[object, ...]]) -> None:
        """Do all housekeeping once."""
        self.keep_ledger(db)
        self.collect(db)
        self.forget_keys(db)
        self.in_bites(db, "forget_traces", {})

    def keep_ledger(self, db: psycopg.Connection[tuple[object, ...]]) -> int:
        """Create the ledger's next days and drop its oldest, one by one; returns the number of days dropped.

        While the janitor waits for a lock that a long transaction holds, submissions queue behind it. So the wait is
        short (`lock_timeout`), and after a refusal the janitor leaves the ledger alone for a minute.
        """
        dropped = 0
        if self.clock() < self.next_ledger:
            return dropped
        try:
            with db.transaction():
                db.execute(self.sql["ledger_hold"])
                prepared = self.value(db, "ledger_prepare", ahead=DAYS_AHEAD)
            if prepared:
                log.info("ledger: %s new days", prepared)
            if days := self.settings.ledger_days:
                while not self.stop.requested:
                    if not self.value(db, "ledger_drop", days=days):
                        break
                    dropped += 1
                    self.stop.wait(REST_S)
                self.in_bites(db, "ledger_sweep", {"days": days})
        except psycopg.errors.LockNotAvailable:
            self.next_ledger = self.clock() + BUSY_S
            log.info("the ledger is busy, its days are prepared and dropped later")
        if dropped:
            log.info("ledger: %d old days dropped", dropped)
        return dropped

    def collect(self, db: psycopg.Connection[tuple[object, ...]]) -> int:
        """Delete the rows of ended periods, `BITE` at a time; returns their number."""
        gone = 0
        for (period,) in db.execute(self.sql["ended_periods"]).fetchall():
            gone += self.in_bites(db, "collect_scores", {"period": period})
            if not self.stop.requested:
                db.execute(self.sql["collect_period"], {"period": period})
        for (period,) in db.execute(self.sql["metadata_to_collect"]).fetchall():
            self.in_bites(db, "collect_metadata", {"period": period})
        for (period,) in db.execute(self.sql["old_segment_values"]).fetchall():
            self.in_bites(db, "collect_segment_values", {"period": period})
        if gone:
            log.info("deleted %d rows of ended periods", gone)
        return gone

    def forget_keys(self, db: psycopg.Connection[tuple[object, ...]]) -> int:
        """Delete idempotency keys older than their retention, `BITE` at a time; returns their number."""
        gone = self.in_bites(db, "forget_keys", {"minutes": self.settings.idempotency_minutes})
        if gone:
            log.info("deleted %d idempotency keys", gone)
        return gone

    def erase(self, db: psycopg.Connection[tuple[object, ...]]) -> int:
        """Go on with the erasures that are not done; returns the number of those that are done now."""
        done, tidied_at = 0, self.clock()

        def go_on() -> bool:
            """Between two steps, which may be many: the housekeeping is not left alone for them."""
            nonlocal tidied_at
            self.stop.wait(REST_S)
            if self.clock() >= tidied_at + EVERY_S:
                self.tidy(db)
                tidied_at = self.clock()
            return not self.stop.requested

        for wanted in erasure.list_open(db):
            try:
                erased = erasure.erase_rest(db, wanted, self.settings.idempotency_minutes, go_on)
            except psycopg.errors.LockNotAvailable as error:
                log.info("erasure %d goes on later: %s", wanted.number, first_line(error))
                continue
            if erased is not None:
                done += 1
                log.info("erasure %d is done", wanted.number)
        return done

    def value(self, db: psycopg.Connection[tuple[object, ...]], name: str, **parameters: object) -> object:
        """The value of a query of one row and one column."""
        ((value,),) = db.execute(self.sql[name], parameters).fetchall()
        return value

    def in_bites(self, db: psycopg.Connection[tuple[object, ...]], name: str, parameters: dict[str, object]) -> int:
        """Repeat a deletion of at most `BITE` rows until one deletes fewer; returns the number of rows."""
        gone = 0
        while not self.stop.requested:
            bite = db.execute(self.sql[name], {**parameters, "limit": BITE}).rowcount
            gone += bite
            if bite < BITE:
                break
            self.stop.wait(REST_S)
        return gone
