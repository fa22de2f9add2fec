"""The keeper of periods: turns the seasons whose periods' ends have come."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg

from board.config.settings import Settings
from board.errors import InvalidRule, ServerUnreachable
from board.periods import turn_season
from board.pg.connections import connect, first_line
from board.pg.queries import queries
from board.pg.steps import run_steps
from board.process.beats import Beat
from board.process.stop import Stop

log: Final = logging.getLogger(__name__)

EVERY_S: Final = 0.5
AGAIN_S: Final = 5.0
"""The pause after a lost connection."""
ASIDE_S: Final = 60.0
"""A season that could not be turned is left alone for that long."""
SEASONS: Final = 100
SESSION: Final = {"lock_timeout": "1s"}

Db = psycopg.Connection[tuple[Any, ...]]


class PeriodKeeper:
    """A process beside the relays. An advisory lock makes one keeper of all hosts the active one."""

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
        self.aside: Final[dict[str, float]] = {}
        """Seasons that could not be turned, and until when they are left alone."""
        self.sql: Final = queries()

    def run(self) -> None:
        """Work until stopped; reconnect after a lost connection, and where PostgreSQL accepts no changes."""
        while not self.stop.requested:
            try:
                with self.beat.waiting():
                    db = connect(self.settings.database_url, "leaderboard-keeper", session=SESSION, writes=True)
                with db:
                    self.keep(db)
            except (
                psycopg.OperationalError,
                psycopg.InterfaceError,
                psycopg.errors.ReadOnlySqlTransaction,
                ServerUnreachable,
            ) as error:
                log.warning("connection lost: %s", first_line(error))
                self.stop.wait(AGAIN_S)

    def keep(self, db: Db) -> None:
        """With the lock, do all work twice a second; without it, wait for it."""
        mine = False
        while not self.stop.requested:
            with self.beat.waiting():
                if not mine:
                    ((mine,),) = db.execute(self.sql["try_keeper"]).fetchall()
                if mine:
                    self.turn_seasons(db)
            self.stop.wait(EVERY_S)

    def turn_seasons(self, db: Db) -> int:
        """Turn all seasons whose periods' ends have come; returns the number of periods that ended."""
        ended = 0
        while not self.stop.requested:
            now = self.clock()
            for season in [season for season, until in self.aside.items() if until <= now]:
                del self.aside[season]
            parameters = {"limit": SEASONS, "aside": [*self.aside]}
            due = [season for (season,) in db.execute(self.sql["due_seasons"], parameters).fetchall()]
            if not due:
                break
            for season in due:
                ended += self.turn(db, season)
        return ended

    def turn(self, db: Db, season: str) -> int:
        """Turn a season, `TURNS_MOST` ends at most; returns their number. One that cannot be turned is set aside."""
        try:
            with db.transaction():
                ended: int = run_steps(db, turn_season(season))
        except (InvalidRule, psycopg.errors.LockNotAvailable) as error:
            log.error("season %s cannot be turned now: %s", season, first_line(error))
            self.aside[season] = self.clock() + ASIDE_S
            return 0
        if ended:
            log.info("season %s: %d periods ended", season, ended)
        return ended
