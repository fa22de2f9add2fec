"""The keeper of periods: turns seasons that are due, writes the standings of ended periods, and makes them final.

It also applies corrections, and undoes them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import msgspec
import psycopg

from board.columns import read_columns, unpack_columns
from board.config.settings import Settings
from board.errors import InvalidRule, ServerUnreachable
from board.periods import find_history, load_terms, turn_season
from board.pg import corrections
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
CHORES_S: Final = 5.0
"""The pause between two looks for rows to delete."""
SEASONS: Final = 100
PERIODS: Final = 100
BITE: Final = 5_000
REST_TIMES: Final = 10
"""In a grace, standings that late submissions have made outdated are written again after so many times the time that it
took. Meanwhile PostgreSQL sorts the rows for each read."""
REST_S: Final = 0.01
SESSION: Final = {"lock_timeout": "1s"}

_encode: Final = msgspec.json.Encoder().encode

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
        self.rests: Final[dict[int, float]] = {}
        """Periods in their grace, and until when their standings are not written again."""
        self.next_turn = self.next_chores = 0.0
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
                    self.end_bans(db)
                    self.close_periods(db)
                    self.correct(db)
                    self.do_chores(db)
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
            before = ended + len(self.aside)
            for season in due:
                ended += self.turn(db, season)
            if ended + len(self.aside) == before:
                # Others have turned them, or an end is there without a schedule.
                break
        return ended

    def end_bans(self, db: Db) -> int:
        """End the bans whose time has come, and write the hints of changes whose process ended before; how many."""
        found = db.execute(self.sql["ended_bans"]).fetchall()
        for user, has_ended in found:
            if has_ended:
                db.execute(self.sql["end_ban"], {"user": user})
            try:
                with db.transaction():
                    db.execute(self.sql["hold_restriction"], {"user": user})
                    db.execute(self.sql["hint_restricted"], {"user": user})
            except psycopg.errors.LockNotAvailable as error:
                log.info("a ban is carried later: %s", first_line(error))
        return len(found)

    def turn(self, db: Db, season: str) -> int:
        """Turn a season, `TURNS_MOST` ends at most; returns their number. One that cannot be turned is set aside."""
        run_steps(db, find_history())
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

    def close_periods(self, db: Db) -> int:
        """Write the standings of ended periods, and make those final whose time has come; returns their number."""
        finished = 0
        while not self.stop.requested:
            before = finished
            found = db.execute(self.sql["closing_periods"], {"limit": PERIODS}).fetchall()
            for closing in found:
                if self.stop.requested:
                    return finished
                try:
                    finished += self.close(db, *closing)
                except psycopg.errors.LockNotAvailable as error:
                    # Late submissions are being written to it.
                    log.info("a period of season %s is not closed yet: %s", closing[1], first_line(error))
                self.turn_in_time(db)
            if len(found) < PERIODS or finished == before:
                break
        return finished

    def close(
        self,
        db: Db,
        period: int,
        season: str,
        number: int,
        players: int | None,
        late: int,
        standings_late: int,
        is_due: bool,
    ) -> bool:
        """Write the standings of one ended period, where there are none of its rows; whether it is final then.

        `late` tells the state of the rows, `standings_late` the one that there are standings of.
        """
        if players is None:
            if not is_due and self.rests.get(period, 0) > self.clock():
                return False
            began = self.clock()
            if late != standings_late:
                self.in_bites(db, "forget_standings", {"period": period})
                if self.stop.requested:
                    return False
                db.execute(self.sql["begin_standings"], {"period": period, "late": late})
            players = self.write_standings(db, period)
            if self.stop.requested:
                return False
            self.rests[period] = self.clock() + REST_TIMES * (self.clock() - began)
        if is_due:
            return self.finish(db, period, season, number, players, late)
        db.execute(self.sql["note_standings"], {"period": period, "players": players, "late": late})
        return False

    def write_standings(self, db: Db, period: int) -> int:
        """Write the standings of an ended period, `BITE` in a transaction; returns the number of players.

        A keeper that ended amid the work has left the first standings, without a gap: its successor goes on.
        """
        ((has_rows,),) = db.execute(self.sql["period_has_rows"], {"period": period}).fetchall()
        ((done,),) = db.execute(self.sql["standings_written"], {"period": period}).fetchall()
        if not has_rows:
            return int(done)
        # The result outlives the transaction that makes it: none is open meanwhile.
        with db.cursor("ranked_rows", withhold=True) as rows:
            rows.execute(self.sql["ranked_rows"], {"period": period})
            if done:
                rows.scroll(done)
            while not self.stop.requested and (bite := rows.fetchmany(BITE)):
                with db.cursor() as cursor, cursor.copy(self.sql["write_standings"]) as copy:
                    for position, row in enumerate(bite, done + 1):
                        copy.write_row((period, position, *row))
                done += len(bite)
                self.turn_in_time(db)
                self.stop.wait(REST_S)
        return int(done)

    def turn_in_time(self, db: Db) -> None:
        """Amid long work: turn what is due, as often as without it."""
        if self.clock() >= self.next_turn:
            self.turn_seasons(db)
            self.end_bans(db)
            self.next_turn = self.clock() + EVERY_S

    def finish(self, db: Db, period: int, season: str, number: int, players: int, late: int) -> bool:
        """Make a period final, with its event. Periods beyond the season's `keepPeriods` expire.

        False if late submissions have changed its rows meanwhile: the standings are to be written again.
        """
        best = db.execute(self.sql["best_standings"], {"period": period}).fetchall()
        ((hidden,),) = db.execute(self.sql["count_hidden"], {"period": period}).fetchall()
        data = {
            "players": players - hidden,
            "top": [describe_row(*row) for row in best],
            "link": f"/v1/seasons/{quote(season, safe='')}/leaderboard/top?period={number}",
        }
        history = run_steps(db, find_history())
        with db.transaction():
            parameters = {
                "period": period,
                "players": players,
                "late": late,
                "history": history,
                "data": _encode(data).decode(),
            }
            done = db.execute(self.sql["finish_period"], parameters).fetchall()
            for _, _, definition in done:
                keep = load_terms(definition).keepPeriods
                if keep is not None:
                    db.execute(self.sql["expire_periods"], {"season": season, "upto": number - keep})
        if done:
            self.rests.pop(period, None)
            log.info("season %s: period %d is final, with %d players", season, number, players)
        return bool(done)

    def correct(self, db: Db) -> int:
        """Apply and undo corrections, in their order; returns the number of those that are done now."""

        def go_on() -> bool:
            self.turn_in_time(db)
            self.stop.wait(REST_S)
            return not self.stop.requested

        done = 0
        for wanted in corrections.list_open(db):
            if self.stop.requested:
                break
            try:
                done += corrections.carry_out(db, wanted, go_on)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                log.info("correction %d goes on later: %s", wanted.number, first_line(error))
                # Those that follow it are made after it.
                break
        return done

    def do_chores(self, db: Db) -> int:
        """Every few seconds: delete rows that have standings, expired standings, and old events; returns their number.

        `BITE` rows in a transaction.
        """
        if self.clock() < self.next_chores:
            return 0
        gone = 0
        for (period,) in db.execute(self.sql["uncleared_periods"], {"limit": PERIODS}).fetchall():
            gone += self.in_bites(db, "collect_scores", {"period": period})
            if not self.stop.requested:
                db.execute(self.sql["note_cleared"], {"period": period})
        for (period,) in db.execute(self.sql["expired_periods"], {"limit": PERIODS}).fetchall():
            gone += self.in_bites(db, "forget_standings", {"period": period})
            if not self.stop.requested:
                db.execute(self.sql["discard_period"], {"period": period})
        gone += self.in_bites(db, "forget_events", {})
        self.next_chores = self.clock() + CHORES_S
        return gone

    def in_bites(self, db: Db, name: str, parameters: dict[str, Any]) -> int:
        """Repeat a deletion of at most `BITE` rows until one deletes fewer; returns the number of rows."""
        gone = 0
        while not self.stop.requested:
            bite = db.execute(self.sql[name], {**parameters, "limit": BITE}).rowcount
            gone += bite
            if bite < BITE:
                break
            self.turn_in_time(db)
            self.stop.wait(REST_S)
        return gone


def describe_row(rank: int, user: str, score: int, columns: bytes | None, named: str | None) -> dict[str, Any]:
    """A row of a final board, as an event tells it; with its columns, packed, in a period that names some."""
    row = {"rank": rank, "userId": user, "score": score}
    return row if columns is None else {**row, "columns": unpack_columns(read_columns(named), columns)}
