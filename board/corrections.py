"""Corrections of past submissions: which ones, and what becomes of the rows.

The ledger is never changed. A correction in force says of each of its submissions that it counts with another value, or
not at all; where several say so, the one with the highest number decides. A row is then what the season's rule makes of
the submissions that count (`board.season`): `best` and `last` are folded anew from the ledger. Of a sum, whose ledger
may be gone in part, the difference is added.

The statements are in `board.correction_steps`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from board.columns import pack_columns, read_columns
from board.errors import LeaderboardError
from board.season import (
    FOLD_BITS,
    INT64_MAX,
    INT64_MIN,
    OPERATORS,
    RULED,
    Operator,
    Row,
    Rule,
    Submission,
    make_row,
    merge,
    operator_of,
    order_of,
    turn,
)

_OPERATORS: Final[dict[int, Operator]] = {number: name for name, number in OPERATORS.items()}
_LIFT: Final = -(2**63)
"""Beside `reached` in rows with columns (0012_pre_columns.sql)."""

Action = Literal["void", "set"]
Place = tuple[int, str]
"""A period and a player: a row."""


class CorrectionRefused(LeaderboardError):
    """The correction cannot be applied, or undone; nothing was written."""

    code = "correction-refused"
    exit_code = 2


class HistoryExpired(CorrectionRefused):
    """Days of the ledger that the rows would be folded from are gone; nothing was written."""

    code = "history-expired"


class TooWide(CorrectionRefused):
    """A request would look through too much of the ledger, or find too much; nothing was written."""

    code = "correction-too-large"


class SumOutOfRange(CorrectionRefused):
    """A player's sum would leave the range of 64 bits; nothing was written."""

    code = "sum-out-of-range"


class Filter(msgspec.Struct, frozen=True):
    """Which submissions, all members together; None: any. `since` is the first time, `until` the one after the last."""

    user: str | None = None
    key: str | None = None
    version: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


ANY: Final = Filter()


class Period(msgspec.Struct, frozen=True):
    """A period that is kept. `kind`: 'live', reads show the rows of `score`; 'final', the standings. `is_complete`: the
    ledger has all of its submissions. `since` is the day on which it began.
    """

    id: int
    number: int
    named: str | None
    kind: Literal["live", "final"]
    has_ended: bool
    is_current: bool
    since: datetime.date
    is_complete: bool

    @property
    def rule(self) -> Rule:
        """The rule of its rows."""
        return Rule(_OPERATORS[operator_of(self.id)], order_of(self.id), read_columns(self.named))

    @property
    def is_final(self) -> bool:
        return self.kind == "final"

    @property
    def is_sum(self) -> bool:
        return operator_of(self.id) == OPERATORS["sum"]

    @property
    def has_rows(self) -> bool:
        """Whether `score` has its rows for good: of final periods that of a season's last one."""
        return self.kind == "live" or self.is_current


class Season(msgspec.Struct, frozen=True):
    """What a correction needs of a season. `low` and `high` are the bounds of one submission."""

    low: int
    high: int
    is_shared: bool
    partition: int
    periods: dict[int, Period]


class Item(msgspec.Struct, frozen=True):
    """A submission of a correction, with its number and the value that was submitted."""

    period: int
    user: str
    number: int
    value: int

    @property
    def place(self) -> Place:
        return self.period, self.user


class Verdict(msgspec.Struct, frozen=True):
    """What a correction says of a submission: the value that counts. None: it is void."""

    correction: int
    value: int | None

    def count(self) -> int:
        """What the submission adds to a sum."""
        return self.value or 0


def decide(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Of the verdicts on a submission the one that holds; None: it counts as it was submitted."""
    return max(verdicts, key=lambda verdict: verdict.correction, default=None)


class Verdicts:
    """The verdicts on submissions before and after an act: the application of a correction, or its undoing."""

    def __init__(self, own: Verdict, items: Iterable[Item], *, undoes: bool) -> None:
        self._own: Final = own
        self._items: Final = {(item.period, item.number) for item in items}
        self._undoes: Final = undoes
        self._others: Final[dict[tuple[int, int], list[Verdict]]] = {}

    def add(self, period: int, number: int, verdict: Verdict) -> None:
        """Note a verdict in force."""
        if verdict.correction != self._own.correction:
            self._others.setdefault((period, number), []).append(verdict)

    def around(self, period: int, number: int) -> tuple[Verdict | None, Verdict | None]:
        """The verdicts that hold before and after the act."""
        others = self._others.get((period, number), [])
        without = decide(others)
        if (period, number) not in self._items:
            return without, without
        with_own = decide([*others, self._own])
        return (with_own, without) if self._undoes else (without, with_own)


class Counted(msgspec.Struct, frozen=True):
    """The row of the submissions that count, and what the ledger has of the run that is shown."""

    row: Row
    run: bytes | None


class Tally:
    """The submissions of a row, folded as they count before and after the act. Adding one twice changes nothing but the
    score of a sum, which nobody reads here.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule: Final = rule
        self.before: Counted | None = None
        self.after: Counted | None = None
        self._numbers: Final[set[int]] = set()

    @property
    def count(self) -> int:
        """The number of submissions that count after the act."""
        return len(self._numbers)

    def add(self, submission: Submission, run: bytes | None, around: tuple[Verdict | None, Verdict | None]) -> None:
        """Add a submission with the verdicts on it."""
        before, after = around
        self.before = self._fold(self.before, submission, run, before)
        self.after = self._fold(self.after, submission, run, after)
        if after is None or after.value is not None:
            self._numbers.add(submission.number)

    def _fold(
        self, so_far: Counted | None, submission: Submission, run: bytes | None, verdict: Verdict | None
    ) -> Counted | None:
        value = submission.value
        if verdict is not None:
            if verdict.value is None:
                return so_far
            value = verdict.value
        mine = make_row(msgspec.structs.replace(submission, value=value))
        if so_far is None:
            return Counted(mine, run)
        row = merge(self._rule, so_far.row, mine)
        return Counted(row, run if row.reached == mine.reached else so_far.run)


class Stored(msgspec.Struct, frozen=True):
    """A row as it is stored: the score the higher the better, the columns packed. `submissions` and `run_of` are two
    columns of `score`; `version` changes with each write of the row.
    """

    score: int
    reached: int
    columns: bytes | None = None
    submissions: int | None = None
    run_of: int | None = None
    version: str = ""


class Next(msgspec.Struct, frozen=True):
    """What becomes of a row. `row` is None if the player leaves the board; `metadata` are those of another run."""

    row: Stored | None
    metadata: str | None = None


def find_next(
    period: Period, held: Stored | None, tally: Tally, items: Sequence[Item], verdicts: Verdicts
) -> Next | None:
    """What becomes of a row that is stored as `held`; None: it stays as it is. Raises `SumOutOfRange`."""
    before, after = tally.before, tally.after
    if not period.is_sum:
        if (before and before.row) == (after and after.row):
            return None
        return Next(None) if after is None else _make_next(period, after, after.row.score, tally.count)
    score, difference = add_up(period, held, items, verdicts)
    if after is None and period.is_complete:
        return None if held is None else Next(None)
    is_same_run = (before and before.row.reached) == (after and after.row.reached)
    if held is not None and (is_same_run or after is None):
        # With a part of the ledger gone, a row whose last known submissions are void keeps its place among equal ones.
        return None if not difference else Next(msgspec.structs.replace(held, score=turn(score, period.rule.order)))
    if after is None:
        return None
    return _make_next(period, after, score, tally.count if held is None else held.submissions)


def add_up(period: Period, held: Stored | None, items: Sequence[Item], verdicts: Verdicts) -> tuple[int, int]:
    """The sum of a row after the act, and its difference from the one before. Raises `SumOutOfRange`."""
    difference = 0
    for item in items:
        was, now = verdicts.around(period.id, item.number)
        difference += (item.value if now is None else now.count()) - (item.value if was is None else was.count())
    score = difference if held is None else turn(held.score, period.rule.order) + difference
    if not INT64_MIN <= score <= INT64_MAX:
        raise SumOutOfRange("the sum would leave the range of 64 bits")
    return score, difference


def _make_next(period: Period, counted: Counted, score: int, submissions: int | None) -> Next:
    rule, row = period.rule, counted.row
    columns = pack_columns(rule.columns, row.columns) if rule.columns else None
    if rule.operator == "last":
        submissions = -row.at
    elif period.id >> FOLD_BITS >= RULED:
        submissions = 0
    run_of = row.reached + _LIFT if rule.columns and rule.operator == "sum" else None
    metadata = None
    if counted.run is not None and len(counted.run) > 1 + 8 * counted.run[0]:
        metadata = counted.run[1 + 8 * counted.run[0] :].decode()
    return Next(Stored(turn(score, rule.order), row.reached, columns, submissions, run_of), metadata)
