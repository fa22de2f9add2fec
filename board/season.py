"""The rule of a season: how a player's submissions become a row, and how rows are ordered.

Pure: no clock, no server. SQL and scripts carry the same rule, and tests compare them with this module. No other
module branches on an operator.

A row is a function of the set of its submissions. Whatever the batches and their order, `fold` gives the same row, and
so does `accept` for each submission in turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Annotated, Any, Final, Literal

import msgspec

from board.errors import InvalidRule, LeaderboardError

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
COLUMNS_MOST: Final = 3

Operator = Literal["sum", "best", "last"]
Order = Literal["desc", "asc"]
Ranking = Literal["ordinal", "competition"]
Int64 = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX, examples=[0])]
# A look-ahead instead of `$`, which in Python matches before a final newline.
ColumnName = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,31}(?![\s\S])", max_length=32, examples=["time"])
]

OPERATORS: Final[dict[Operator, int]] = {"sum": 0, "best": 1, "last": 2}
"""The operators, with the numbers that they have in a fold."""
RANKINGS: Final[dict[Ranking, int]] = {"ordinal": 0, "competition": 1}
"""The rankings, with the numbers that PostgreSQL keeps."""
SHARED: Final = b".c"
"""The end of the mark of a board on which equal rows share a rank."""
FOLD_BITS: Final = 56
"""The bits of a `period_id` below its fold: those of the number that PostgreSQL's sequence gave."""
RULED: Final = 64
"""The bit of a fold that every season has but plain ones: sums, the highest first."""
_LABEL: Final = re.compile(rb"(?:[<>]\w+)*(?:\.p(\d+))?(?:\.c)?\Z")
NUMBERED: Final = b".p"
"""Before the number of the period in the mark of a board, where the season has numbered periods."""
_COLUMN_BITS: Final = FOLD_BITS + 3


class OutOfRange(LeaderboardError):
    """A sum would leave int64."""

    code = "score-out-of-range"


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The least and the greatest number of one submission."""

    min: Int64 = INT64_MIN
    max: Int64 = INT64_MAX


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A further number of a run. Columns are compared after the score, in their order in the rule."""

    name: ColumnName
    order: Order = "desc"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rule of a season."""

    operator: Operator = "sum"
    order: Order = "desc"
    columns: Annotated[tuple[Column, ...], msgspec.Meta(max_length=COLUMNS_MOST)] = ()
    ranking: Ranking = "ordinal"
    bounds: Bounds = Bounds()


class Submission(msgspec.Struct, frozen=True):
    """One accepted submission: its number in the order of all submissions, its value (`delta` or `score`), the values
    of the rule's columns, and when it was achieved or else accepted, in microseconds."""

    number: int
    value: int
    columns: tuple[int, ...] = ()
    at: int = 0


class Row(msgspec.Struct, frozen=True):
    """A player's row. `reached` breaks ties: of equal rows the one with the lower number is ahead. `at` is the time of
    the run that is shown, which only `last` asks for.
    """

    score: int
    reached: int
    columns: tuple[int, ...] = ()
    at: int = 0


class Change(msgspec.Struct, frozen=True):
    """What one submission did: the row after it, the score before it, and whether the row is better than before."""

    row: Row
    previous: int | None
    improved: bool


def parse_rule(members: Mapping[str, Any]) -> Rule:
    """The rule with these members, as JSON spells them; missing ones are defaults. Raises `InvalidRule`."""
    try:
        rule = msgspec.convert(members, Rule)
    except msgspec.ValidationError as error:
        raise InvalidRule(str(error)) from error
    check_rule(rule)
    return rule


def check_rule(rule: Rule) -> None:
    """Raise `InvalidRule` for a rule whose members contradict each other."""
    if rule.bounds.min > rule.bounds.max:
        raise InvalidRule("bounds.min is above bounds.max, so no submission could count")
    names = [column.name for column in rule.columns]
    if len(set(names)) < len(names):
        raise InvalidRule("two columns have one name")


def explain(rule: Rule) -> str:
    """The rule in plain English."""
    first = "highest" if rule.order == "desc" else "lowest"
    text = {
        "sum": f"The sum of all deltas counts, the {first} first.",
        "best": f"The best run counts, the {first} score first.",
        "last": f"The latest run counts, the {first} score first.",
    }[rule.operator]
    for column in rule.columns:
        text += f" Then {column.name} decides, the {'highest' if column.order == 'desc' else 'lowest'} first."
    text += (
        " Of equal rows the one that was reached first is ahead."
        if rule.ranking == "ordinal"
        else " Equal rows share a rank."
    )
    if rule.bounds != Bounds():
        text += f" A submission is from {rule.bounds.min} to {rule.bounds.max}."
    return text


def is_within_bounds(rule: Rule, value: int) -> bool:
    """Whether a submission of this value is within the bounds of the rule."""
    return rule.bounds.min <= value <= rule.bounds.max


# --- Comparing ---------------------------------------------------------------------------------------------


def turn(number: int, order: Order) -> int:
    """A number as it is stored: the higher the better. For `asc` its complement, which is exact and reverses the order
    of all int64. Turning twice gives the number again.
    """
    return number if order == "desc" else ~number


def merit_of(rule: Rule, score: int, columns: Sequence[int]) -> tuple[int, ...]:
    """What runs are compared by: the greater tuple is the better run."""
    orders = (column.order for column in rule.columns)
    return turn(score, rule.order), *map(turn, columns, orders)


def place_of(rule: Rule, user: str, row: Row) -> tuple[Any, ...]:
    """The sort key of a row: ascending order is the order of the board, best first."""
    return *(-part for part in merit_of(rule, row.score, row.columns)), row.reached, user.encode()


def rank_rows(rule: Rule, rows: Mapping[str, Row]) -> list[tuple[int, str, Row]]:
    """A board: (rank, player, row), best first."""
    board: list[tuple[int, str, Row]] = []
    for place, (user, row) in enumerate(sorted(rows.items(), key=lambda one: place_of(rule, *one)), start=1):
        rank = place
        if rule.ranking == "competition" and board:
            last_rank, _, last = board[-1]
            if (last.score, last.columns) == (row.score, row.columns):
                rank = last_rank
        board.append((rank, user, row))
    return board


# --- Folding -----------------------------------------------------------------------------------------------


def make_row(submission: Submission) -> Row:
    """The row of a player with one submission."""
    return Row(submission.value, submission.number, submission.columns, submission.at)


def merge(rule: Rule, first: Row, second: Row) -> Row:
    """The row of two disjoint sets of submissions, each given as its row. A sum may be outside int64."""
    later, earlier = (first, second) if first.reached > second.reached else (second, first)
    if rule.operator == "sum":
        return Row(first.score + second.score, later.reached, later.columns, later.at)
    if rule.operator == "last":
        return max(later, earlier, key=lambda row: (row.at, row.reached))
    # Equal is not better: the earlier one of two equal runs counts.
    is_better = merit_of(rule, later.score, later.columns) > merit_of(rule, earlier.score, earlier.columns)
    return later if is_better else earlier


def check_range(row: Row) -> Row:
    """The row, if its score is an int64. Raises `OutOfRange`."""
    if not INT64_MIN <= row.score <= INT64_MAX:
        raise OutOfRange("the sum would leave the range of 64 bits")
    return row


def fold(rule: Rule, submissions: Iterable[Submission]) -> Row:
    """The row of a player's submissions, at least one, in any order. Raises `OutOfRange`."""
    return check_range(reduce(lambda first, second: merge(rule, first, second), map(make_row, submissions)))


def accept(rule: Rule, row: Row | None, submission: Submission) -> Change:
    """Add a submission to a player's row (None: there is none yet). Raises `OutOfRange`."""
    if row is None:
        return Change(make_row(submission), None, True)
    after = check_range(merge(rule, row, make_row(submission)))
    improved = merit_of(rule, after.score, after.columns) > merit_of(rule, row.score, row.columns)
    return Change(after, row.score, improved)


# --- Periods -----------------------------------------------------------------------------------------------


def fold_of(rule: Rule) -> int:
    """The fold of a rule: what the upper bits of the `period_id` of its periods tell about their rows.

    0: plain. Otherwise `RULED`, eight times the number of columns, twice the operator's number, and 1 for `asc`. So
    whoever has a period knows how its rows are folded and ordered, at the same instant and from the same place.
    """
    if rule.operator == "sum" and rule.order == "desc" and not rule.columns:
        return 0
    return RULED + 8 * len(rule.columns) + 2 * OPERATORS[rule.operator] + (rule.order == "asc")


def mark_of(ranking: int, columns: str | None, number: int | None = None) -> bytes:
    """The end of the mark of a board with this ranking (`RANKINGS`), these columns (`sign_columns`) and this period."""
    numbered = b"" if number is None else NUMBERED + b"%d" % number
    return (columns or "").encode() + numbered + (SHARED if ranking == RANKINGS["competition"] else b"")


def label_of(mark: bytes) -> bytes:
    """The end of a board's mark, or of a note that ends with it, that `mark_of` made."""
    found = _LABEL.search(mark)
    return found[0] if found else b""


def number_of(mark: bytes) -> int:
    """The number of the period in a board's mark; 0 if it has none."""
    found = _LABEL.search(mark)
    return int(found[1] or 0) if found else 0


def sequence_of(period: int) -> int:
    """The number that PostgreSQL's sequence gave to a period: of two periods the later one has the higher one."""
    return period & (1 << FOLD_BITS) - 1


def operator_of(period: int) -> int:
    """The number of the operator of a period's rows (`OPERATORS`), from its `period_id`."""
    return period >> FOLD_BITS + 1 & 3


def order_of(period: int) -> Order:
    """The order of a period's rows, from its `period_id`."""
    return "asc" if period >> FOLD_BITS & 1 else "desc"


def count_columns(period: int) -> int:
    """The number of columns of a period's rows, from its `period_id`."""
    return period >> _COLUMN_BITS & 3
