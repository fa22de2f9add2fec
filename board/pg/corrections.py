"""The application of a correction, and its undoing: carried out by the keeper.

The ledger is looked through in bites, and the new rows are found, before anything is written. Then one transaction
writes all rows and the state of the correction. So a process that ends amid the work leaves nothing half done: the next
one begins anew. Rows that others have changed meanwhile are found by their versions, and looked at again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
import psycopg

from board.correction_steps import (
    BITE,
    Act,
    LedgerPart,
    Steps,
    begin_act,
    check_history,
    find_season,
    first_day,
    gather,
    list_parts,
    make_tallies,
    read_rows,
)
from board.corrections import (
    CorrectionRefused,
    Item,
    Next,
    Period,
    Place,
    Season,
    Stored,
    Tally,
    Verdict,
    find_next,
)
from board.periods import find_history
from board.pg.queries import queries
from board.pg.steps import run_steps
from board.season import INT64_MIN, turn

log: Final = logging.getLogger(__name__)

Db = psycopg.Connection[Any]
GoOn = Callable[[], bool]
"""Called between two statements of the long part: it may rest, and says whether the work goes on."""

_encode: Final = msgspec.json.Encoder().encode


class Open(msgspec.Struct, frozen=True):
    """A correction that is to be applied ('pending') or undone ('undoing')."""

    number: int
    season: str
    action: str
    value: int | None
    state: str

    @property
    def undoes(self) -> bool:
        return self.state == "undoing"


class _LaterError(Exception):
    """Something else than rows has changed meanwhile, or the work is to stop: it begins anew."""


def list_open(db: Db) -> list[Open]:
    """The corrections that are to be applied or undone, the oldest first."""
    return [Open(*row) for row in db.execute(queries()["open_corrections"]).fetchall()]


def carry_out(db: Db, wanted: Open, go_on: GoOn) -> bool:
    """Apply or undo a correction; False if it is to be tried again, or was told to stop.

    `db` is an autocommit connection. One that cannot be applied is refused, one that cannot be undone stays. Raises
    `psycopg.Error`.
    """
    try:
        _Work(db, wanted, go_on).do()
    except _LaterError:
        return False
    except CorrectionRefused as error:
        db.execute(queries()["refuse_correction"], {"number": wanted.number, "problem": error.code})
        log.warning("correction %d is refused: %s", wanted.number, error)
    return True


class _Work:
    """One application or undoing."""

    def __init__(self, db: Db, wanted: Open, go_on: GoOn) -> None:
        self.db: Final = db
        self.wanted: Final = wanted
        self.go_on: Final = go_on
        self.sql: Final = queries()
        self.looked = 0

    def run(self, name: str, **parameters: Any) -> list[Any]:
        cursor = self.db.execute(self.sql[name], parameters)
        return cursor.fetchall() if cursor.description else []

    def do(self) -> None:
        wanted = self.wanted
        season = run_steps(self.db, find_season(wanted.season))
        items = self._read_items()
        own = Verdict(wanted.number, wanted.value if wanted.action == "set" else None)
        act: Act = run_steps(self.db, begin_act(season, items, own, undoes=wanted.undoes))
        if not wanted.undoes:
            check_history(season, items)
        folded = {period: users for period, users in act.users().items() if _is_folded(season.periods[period])}
        tallies = make_tallies(act)
        held = self._read_all(act)
        ((recent,),) = self.run("day_before")
        if folded:
            parts = run_steps(self.db, list_parts(first_day(act)))
            self._look_through(gather(act, tallies, folded, parts), parts)
        # Once more without a lock, for those who have submitted meanwhile: nearly always nobody is left then.
        again = self._read_all(act)
        changed = _find_changed(held, again)
        if folded and changed:
            self._gather_again(act, tallies, changed, recent)
        run_steps(self.db, find_history())
        with self.db.transaction():
            self._write(act, items, tallies, again, recent)

    def _read_items(self) -> list[Item]:
        rows = self.run("correction_items", number=self.wanted.number)
        return [Item(*row) for row in rows]

    def _read_all(self, act: Act) -> dict[Place, Stored]:
        found = {}
        for period, users in act.users().items():
            rows = run_steps(self.db, read_rows(act, period, users))
            found.update({(period, user): row for user, row in rows.items()})
        return found

    def _look_through(self, steps: Steps, parts: list[LedgerPart]) -> None:
        """Run the long part, with progress. Raises `_LaterError` if told to stop."""
        blocks = sum(part.blocks for part in parts)
        try:
            name, parameters = next(steps)
            while True:
                rows = self.run(name, **parameters)
                if parameters["low"].endswith(",0)"):
                    self.looked = min(blocks, self.looked + BITE)
                    self.run("note_correction_progress", number=self.wanted.number, looked=self.looked, blocks=blocks)
                if not self.go_on():
                    raise _LaterError
                name, parameters = steps.send(rows)
        except StopIteration:
            return

    def _gather_again(self, act: Act, tallies: dict[Place, Tally], changed: set[Place], recent: Any) -> None:
        """Look through the days to which submissions have come since the work began."""
        places: dict[int, list[str]] = {}
        for period, user in sorted(changed):
            if _is_folded(act.season.periods[period]):
                places.setdefault(period, []).append(user)
        if places:
            run_steps(self.db, gather(act, tallies, places, run_steps(self.db, list_parts(recent))))

    def _write(
        self, act: Act, items: list[Item], tallies: dict[Place, Tally], held: Mapping[Place, Stored], recent: Any
    ) -> None:
        """In a transaction: write all rows, and what tells of them."""
        wanted, users = self.wanted, act.users()
        self.run("lock_correction", number=wanted.number)
        if len(self._read_items()) != len(items):
            # A player was erased.
            raise _LaterError
        has_gaps = any((period, user) not in held for period in users for user in users[period])
        # A row that comes back is inserted: no submission may do so at the same time.
        self.run("lock_season" if has_gaps else "hold_season_to_correct", season=wanted.season)
        ended = [period for period in users if act.season.periods[period].has_ended]
        if ended:
            self.run("hold_periods_to_correct", periods=ended)
        season: Season | None = run_steps(self.db, find_season(wanted.season))
        if season is None or any(season.periods.get(period) != act.season.periods[period] for period in users):
            raise _LaterError
        hints: list[str] = []
        current = 0
        # The locks of rows last: submissions wait for them.
        for period_id in sorted(users, key=lambda one: (not season.periods[one].is_final, one)):
            period = season.periods[period_id]
            written = self._write_period(act, period, users[period_id], tallies, held, recent, has_gaps=has_gaps)
            if period.is_current:
                hints, current = written, period_id
        self.run("hint_corrected_rows", partition=season.partition, period=current, users=hints)
        if not self.run("end_correction", number=wanted.number, state=wanted.state, partition=season.partition):
            # It was withdrawn.
            raise _LaterError

    def _write_period(
        self,
        act: Act,
        period: Period,
        users: list[str],
        tallies: dict[Place, Tally],
        held: Mapping[Place, Stored],
        recent: Any,
        *,
        has_gaps: bool,
    ) -> list[str]:
        """Write the rows of one period; returns the players whose rows are others now."""
        here: dict[str, Any] = {"period": period.id, "is_final": period.is_final, "has_rows": period.has_rows}
        number = self.wanted.number
        if period.has_rows:
            self.run("lock_rows_to_correct", period=period.id, users=users)
        rows: dict[str, Stored] = run_steps(self.db, read_rows(act, period.id, users))
        if not has_gaps and len(rows) < len(users):
            raise _LaterError
        before = {(period.id, user): held[period.id, user] for user in users if (period.id, user) in held}
        changed = _find_changed(before, {(period.id, user): row for user, row in rows.items()})
        self._gather_again(act, tallies, changed, recent)
        restored: list[str] = []
        left: set[str] = set()
        if self.wanted.undoes:
            left = {user for (user,) in self.run("images_as_left", number=number, **here)}
            restored = [user for user in users if user in left]
        else:
            self.run("keep_images", number=number, users=users, **here)
        others = [user for user in users if user not in left]
        found: dict[str, Next] = {}
        for user in others if _is_folded(period) else []:
            place = (period.id, user)
            following = find_next(period, rows.get(user), tallies[place], act.items[place], act.verdicts)
            if following is not None:
                found[user] = following
        self._put(period, restored, found)
        if self.wanted.undoes:
            self.run("note_changed_rows", number=number, period=period.id, users=others)
        else:
            self.run("keep_new_images", number=number, **here)
        if (restored or found) and period.has_ended:
            self._renew_standings(period)
        return [*restored, *found]

    def _put(self, period: Period, restored: list[str], found: dict[str, Next]) -> None:
        """Write rows, metadata and standings: those that are restored, and those that are made anew."""
        number = self.wanted.number
        back = {"number": number, "period": period.id, "users": restored}
        kept = {user: one.row for user, one in found.items() if one.row is not None}
        gone = [user for user, one in found.items() if one.row is None]
        lift = INT64_MIN if period.rule.columns else 0
        if period.has_rows:
            self.run("restore_rows", **back)
            self.run("drop_corrected_rows", period=period.id, users=gone)
            self.run(
                "write_corrected_rows",
                period=period.id,
                users=[*kept],
                scores=[row.score for row in kept.values()],
                reached=[row.reached + lift for row in kept.values()],
                submissions=[row.submissions or 0 for row in kept.values()],
                previous_reached=[row.run_of for row in kept.values()],
                columns=[row.columns for row in kept.values()],
            )
        self.run("restore_metadata", **back)
        told = {user: one for user, one in found.items() if one.row is not None and one.metadata is not None}
        self.run(
            "write_corrected_metadata",
            period=period.id,
            users=[*told],
            reached=[kept[user].reached for user in told],
            metadata=[one.metadata for one in told.values()],
        )
        if period.is_final:
            self.run("drop_standings", period=period.id, users=[*restored, *found])
            self.run("restore_standings", **back)
            self.run(
                "write_corrected_standings",
                period=period.id,
                users=[*kept],
                scores=[turn(row.score, period.rule.order) for row in kept.values()],
                reached=[row.reached for row in kept.values()],
                columns=[row.columns for row in kept.values()],
            )

    def _renew_standings(self, period: Period) -> None:
        """Put the standings of an ended period in order: at once where it is final, else by the keeper."""
        if not period.is_final:
            self.run("outdate_standings", period=period.id)
            return
        ((players,),) = self.run("renumber_standings", period=period.id)
        ((hidden,),) = self.run("count_hidden", period=period.id)
        season = self.wanted.season
        data = {
            "correction": self.wanted.number,
            "undone": self.wanted.undoes,
            "players": players - hidden,
            "link": f"/v1/seasons/{quote(season, safe='')}/leaderboard/top?period={period.number}",
        }
        history = run_steps(self.db, find_history())
        told = {"history": history, "season": season, "period": period.number, "data": _encode(data).decode()}
        self.run("tell_correction", **told)


def _is_folded(period: Period) -> bool:
    """Whether rows of a period can be found anew: of `best` and `last` only from all of the ledger."""
    return period.is_sum or period.is_complete


def _find_changed(before: Mapping[Place, Stored], now: Mapping[Place, Stored]) -> set[Place]:
    """The rows that were written between two looks."""
    return {
        place
        for place in {*before, *now}
        if place not in before or place not in now or before[place].version != now[place].version
    }
