"""Periods: when one ends and the next begins.

The boundary is PostgreSQL's clock, read under the season's lock. Whoever writes to a season that is due turns it first,
and so does the keeper. The statements of a turn are made here, once for all of them (`board.pg.steps` runs them).
"""

from __future__ import annotations

import datetime
from collections.abc import Generator
from typing import Any, Final

import msgspec

from board.columns import sign_columns
from board.errors import PeriodClosed
from board.schedule import Schedule, find_next_end, list_ends
from board.season import RULED, Bounds, Column, Operator, Order, Rule, fold_of

TURNS_MOST: Final = 1_000
"""Missed ends that one transaction catches up."""
GRACE_MOST_S: Final = 86_400

Steps = Generator[tuple[str, dict[str, Any]], list[Any], Any]
"""Statements of a transaction: yields a query's name and its parameters, and is sent its rows."""

_encode: Final = msgspec.json.Encoder().encode
_UTC: Final = datetime.UTC


class Terms(msgspec.Struct, frozen=True):
    """The members of a season's definition that decide when its periods end, and how the next one counts."""

    operator: Operator = "sum"
    order: Order = "desc"
    columns: tuple[Column, ...] = ()
    bounds: Bounds = Bounds()
    opensAt: datetime.datetime | None = None
    schedule: Schedule | None = None
    graceS: int = 0
    keepPeriods: int | None = None
    feeds: tuple[str, ...] = ()

    @property
    def rule(self) -> Rule:
        return Rule(operator=self.operator, order=self.order, columns=self.columns, bounds=self.bounds)

    @property
    def fold(self) -> int:
        """The fold of a period that begins now. The statements of plain seasons know no ends, and feed no others: they
        are kept out.
        """
        return fold_of(self.rule) or (RULED if self.schedule is not None or self.feeds else 0)


def load_terms(definition: str | None) -> Terms:
    """The terms in a definition as PostgreSQL keeps it; None: the defaults."""
    return Terms() if definition is None else msgspec.json.decode(definition, type=Terms)


class Turn(msgspec.Struct, frozen=True):
    """What a turn writes. `ends` are those of the current period and of the periods that begin and end at once;
    `begins` are the starts of new periods. Both have one item for each step. `ends_at` is the end of the period that
    is current then; `closed`: it has come already, and no period follows.
    """

    ends: list[datetime.datetime | None]
    begins: list[datetime.datetime | None]
    ends_at: datetime.datetime | None
    closed: bool = False


def plan_turn(schedule: Schedule, end: datetime.datetime, now: datetime.datetime, most: int = TURNS_MOST) -> Turn:
    """The turn of a season whose period's `end` has come: `most` ends at most, in order, none after `now`."""
    if schedule.endsAt is not None:
        return Turn([end], [None], end, closed=True)
    ends = [end, *list_ends(schedule, end, now, most - 1)]
    following = find_next_end(schedule, ends[-1])
    if following is None:
        return Turn([*ends], [*ends[:-1], None], ends[-1], closed=True)
    return Turn([*ends], [*ends], following)


def turn_season(season: str) -> Steps:
    """Turn a season if it is due. Returns the number of periods that ended: `TURNS_MOST` if there may be more."""
    if not (yield "lock_season", {"season": season}):
        return 0
    return (yield from turn_locked_season(season))


def turn_locked_season(season: str) -> Steps:
    """After `lock_season`, in its transaction: as `turn_season`."""
    (row,) = yield "turning_season", {"season": season}
    started_at, ends_at, _, is_due, text, now = row
    terms = load_terms(text)
    if not is_due or terms.schedule is None:
        return 0
    turn = plan_turn(terms.schedule, ends_at, now)
    yield from write_turn(season, terms, turn, started_at, now)
    return len(turn.ends)


def end_period(season: str) -> Steps:
    """After `lock_season`, in its transaction: end the period by hand, at once. Raises `PeriodClosed`."""
    while (yield from turn_locked_season(season)):
        pass
    (row,) = yield "turning_season", {"season": season}
    started_at, _, closed, _, text, now = row
    if closed:
        raise PeriodClosed("the season's last period has ended; give it another schedule first")
    terms = load_terms(text)
    turn = Turn([now], [now], find_end(terms, now))
    # A period that is ended by hand has no grace.
    yield from write_turn(season, msgspec.structs.replace(terms, graceS=0), turn, started_at, now)


def reopen_season(season: str, terms: Terms) -> Steps:
    """After `lock_season`, in its transaction: begin a period of a closed season, by new terms."""
    (row,) = yield "turning_season", {"season": season}
    now = row[-1]
    yield from write_turn(season, terms, Turn([None], [now], find_end(terms, now)), now, now)


def find_end(terms: Terms, now: datetime.datetime) -> datetime.datetime | None:
    """The end of a period that is open now, or opens later. None: it has none, or none that is to come."""
    if terms.schedule is None:
        return None
    return find_next_end(terms.schedule, now if terms.opensAt is None else max(now, terms.opensAt))


def write_turn(season: str, terms: Terms, turn: Turn, started_at: datetime.datetime, now: datetime.datetime) -> Steps:
    """Write a turn. The current period began at `started_at`, or when the season opened."""
    start = started_at if terms.opensAt is None else max(started_at, terms.opensAt)
    # One that is ended by hand before the season opens has been open for no time.
    starts = [start if turn.ends[0] is None else min(start, turn.ends[0]), *turn.begins]
    opens_later = terms.opensAt is not None and terms.opensAt > now
    history = yield from find_history()
    yield (
        "turn_season",
        {
            "season": season,
            "ends": turn.ends,
            "begins": turn.begins,
            "data": [describe_end(start, end) for start, end in zip(starts, turn.ends, strict=False)],
            "history": history,
            "grace_s": terms.graceS,
            "fold": terms.fold,
            "columns": sign_columns(terms.columns),
            "ruled": terms.fold != 0 or terms.bounds != Bounds() or opens_later,
            "scheduled": terms.schedule is not None,
            "ends_at": turn.ends_at,
            "closed": turn.closed,
        },
    )


def describe_end(start: datetime.datetime | None, end: datetime.datetime | None) -> str:
    """The data of the event `period.ended`; an empty text where nothing ends."""
    if start is None or end is None:
        return ""
    return _encode({"startsAt": start.astimezone(_UTC), "endsAt": end.astimezone(_UTC)}).decode()


def find_history() -> Steps:
    """The number of this history of the database, which the first call makes.

    Call it before a transaction that writes events, too: one that made the history while it held a season's lock would
    be in a deadlock with a batch of a relay, which takes that lock last.
    """
    for _ in range(2):
        if rows := (yield "history", {}):
            ((history,),) = rows
            return history
        yield "begin_history", {}
    ((history,),) = yield "history", {}
    return history
