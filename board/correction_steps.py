"""The statements of corrections: the submissions that a filter chooses, and those that rows are made of.

They are made here, once for preview, request and keeper: `board.pg.corrections` and the service run them.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from board.columns import read_columns, unpack_columns
from board.corrections import (
    ANY,
    Filter,
    HistoryExpired,
    Item,
    Period,
    Place,
    Season,
    Stored,
    Tally,
    TooWide,
    Verdict,
    Verdicts,
    add_up,
)
from board.season import Submission

ITEMS_MOST: Final = 100_000
"""Submissions of one correction."""
PLAYERS_MOST: Final = 10_000
"""Rows of one correction: they are written in one transaction, for which submissions of these players wait."""
CONFIRM_ABOVE: Final = 1_000
"""A correction of more submissions names their number."""
BLOCKS_MOST: Final = 131_072
"""Blocks of the ledger (8 KiB each, 1 GiB in all) that a request looks through."""
BITE: Final = 8_192
"""Blocks of the ledger that one statement looks through."""
ROWS: Final = 5_000
"""Submissions that one statement returns."""
LAST_PART: Final = "ledger_default"

_TID: Final = re.compile(r"\(([0-9]+),([0-9]+)\)")

Steps = Generator[tuple[str, dict[str, Any]], list[Any], Any]
"""As `board.periods.Steps`."""


def find_season(season: str) -> Steps:
    """The `Season`; None for an unknown one."""
    rows = yield "correction_season", {"season": season}
    if not rows:
        return None
    low, high, ranking, partition, *_ = rows[0]
    periods = {row[4]: Period(*row[4:]) for row in rows if row[4] is not None}
    return Season(low, high, ranking == 1, partition, periods)


def find_origins(wanted: Filter) -> Steps:
    """The origins of a filter; None: it names none."""
    if wanted.key is None and wanted.version is None:
        return None
    rows = yield "correction_origins", {"key": wanted.key, "version": wanted.version}
    return [origin for (origin,) in rows]


class LedgerPart(msgspec.Struct, frozen=True):
    """A part of the ledger, and its number of blocks."""

    name: str
    blocks: int


def list_parts(since: datetime.date, filtered: Filter = ANY) -> Steps:
    """The parts of the ledger with submissions from a day on, and within the times of a filter."""
    rows = yield "ledger_parts", {"last": LAST_PART}
    first, last = since, datetime.date.max
    if filtered.since is not None:
        first = max(first, filtered.since.astimezone(datetime.UTC).date())
    if filtered.until is not None:
        last = filtered.until.astimezone(datetime.UTC).date()
    names = f"ledger_{first:%Y%m%d}", f"ledger_{last:%Y%m%d}"
    return [LedgerPart(*row) for row in rows if row[0] == LAST_PART or names[0] <= row[0] <= names[1]]


def walk(
    part: LedgerPart,
    take: Callable[[list[Any]], None],
    *,
    periods: Sequence[int],
    players: Sequence[str] | None = None,
    origins: Sequence[int] | None = None,
    filtered: Filter = ANY,
) -> Steps:
    """Look through a part of the ledger, in bites, and hand its submissions to `take`."""
    asked = {
        "part": part.name, "periods": [*periods], "players": players, "origins": origins, "since": filtered.since,
        "until": filtered.until, "most": ROWS,
    }  # fmt: skip
    # The last block again: rows may have come into it since its number was read.
    for block in range(0, part.blocks + 1, BITE):
        low = f"({block},0)"
        while True:
            rows = yield "ledger_between", {**asked, "low": low, "high": f"({block + BITE},0)"}
            take(rows)
            if len(rows) < ROWS:
                break
            found = _TID.fullmatch(rows[-1][0])
            assert found is not None, "PostgreSQL spells places so"
            low = f"({found[1]},{int(found[2]) + 1})"


def find_items(season: Season, wanted: Filter) -> Steps:
    """The submissions of a season that a filter chooses. Raises `TooWide`."""
    items: list[Item] = []
    if not season.periods:
        return items
    origins = yield from find_origins(wanted)
    parts = yield from list_parts(min(period.since for period in season.periods.values()), wanted)
    check_width(parts)

    def take(rows: list[Any]) -> None:
        items.extend(Item(period, user, number, value) for _, period, user, number, value, _, _ in rows)
        if len(items) > ITEMS_MOST:
            raise TooWide(f"the filter chooses more than {ITEMS_MOST} submissions; divide the correction")

    players = None if wanted.user is None else [wanted.user]
    for part in parts:
        yield from walk(part, take, periods=[*season.periods], players=players, origins=origins, filtered=wanted)
    if len({item.place for item in items}) > PLAYERS_MOST:
        raise TooWide(f"the filter chooses more than {PLAYERS_MOST} rows; divide the correction")
    return items


def check_width(parts: Sequence[LedgerPart]) -> None:
    """Raise `TooWide` for more of the ledger than a request may look through."""
    blocks = sum(part.blocks for part in parts)
    if blocks > BLOCKS_MOST:
        raise TooWide(
            f"{blocks // 128} MiB of the ledger would be looked through, more than {BLOCKS_MOST // 128}; "
            "let `from` and `to` name fewer days"
        )


def check_history(season: Season, items: Iterable[Item]) -> None:
    """Raise `HistoryExpired` where a row would be folded from days of the ledger that are gone."""
    for period in {item.period for item in items}:
        found = season.periods.get(period)
        if found is not None and not found.is_sum and not found.is_complete:
            raise HistoryExpired(f"days of the ledger of period {found.number} are gone")


class Act(msgspec.Struct, frozen=True):
    """An application of a correction, or its undoing: its items by row, and the verdicts around it."""

    season: Season
    items: dict[Place, list[Item]]
    verdicts: Verdicts

    def users(self) -> dict[int, list[str]]:
        """The players of each period that is kept, in the order in which rows are locked."""
        found: dict[int, list[str]] = {}
        for period, user in sorted(self.items, key=lambda place: (place[0], place[1].encode())):
            if period in self.season.periods:
                found.setdefault(period, []).append(user)
        return found


def begin_act(season: Season, items: Sequence[Item], own: Verdict, *, undoes: bool) -> Steps:
    """The `Act` of a correction with these items."""
    by_place: dict[Place, list[Item]] = {}
    for item in items:
        by_place.setdefault(item.place, []).append(item)
    act = Act(season, by_place, Verdicts(own, items, undoes=undoes))
    for period, users in act.users().items():
        rows = yield "verdicts_in_force", {"period": period, "users": users}
        for _, number, correction, value in rows:
            act.verdicts.add(period, number, Verdict(correction, value))
    return act


def gather(
    act: Act, tallies: dict[Place, Tally], places: Mapping[int, Sequence[str]], parts: Sequence[LedgerPart]
) -> Steps:
    """Add the submissions of rows in these parts of the ledger to their tallies."""
    players = sorted({user for users in places.values() for user in users})
    wanted = {(period, user) for period, users in places.items() for user in users}
    columns = {period: read_columns(act.season.periods[period].named) for period in places}

    def take(rows: list[Any]) -> None:
        for _, period, user, number, value, at, run in rows:
            if (period, user) in wanted:
                values = (
                    ()
                    if not columns[period] or run is None
                    else (*unpack_columns(columns[period], run[1 : 1 + 8 * run[0]]).values(),)
                )
                submission = Submission(number, value, values, at)
                tallies[period, user].add(submission, run, act.verdicts.around(period, number))

    for part in parts:
        yield from walk(part, take, periods=[*places], players=players)


def make_tallies(act: Act) -> dict[Place, Tally]:
    """An empty tally for each row."""
    rules = {period: act.season.periods[period].rule for period in act.users()}
    return {(period, user): Tally(rules[period]) for period, users in act.users().items() for user in users}


def first_day(act: Act) -> datetime.date:
    """The day from which on the ledger has submissions of the rows."""
    return min(act.season.periods[period].since for period in act.users())


def read_rows(act: Act, period: int, users: Sequence[str]) -> Steps:
    """The rows of these players as they are stored."""
    asked = {"period": period, "users": users, "is_final": act.season.periods[period].is_final}
    rows = yield "rows_to_correct", asked
    return {user: Stored(*rest) for user, *rest in rows}


def find_sums(act: Act) -> Steps:
    """Raise `SumOutOfRange` where a sum would leave int64, without a look at the ledger."""
    for period, users in act.users().items():
        if act.season.periods[period].is_sum:
            held = yield from read_rows(act, period, users)
            for user in users:
                add_up(act.season.periods[period], held.get(user), act.items[period, user], act.verdicts)
