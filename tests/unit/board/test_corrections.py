"""Verdicts on submissions, and rows without them: by hand, against the rule of a season."""

from __future__ import annotations

import datetime

import pytest

from board.corrections import Item, Next, Period, Stored, SumOutOfRange, Tally, Verdict, Verdicts, add_up, find_next
from board.season import INT64_MAX, Rule, Submission, fold, fold_of, turn

DAY = datetime.date(2026, 11, 30)


def period(rule: Rule, *, is_complete: bool = True) -> Period:
    return Period((fold_of(rule) << 56) + 7, 1, None, "live", False, True, DAY, is_complete)


def tally_of(of: Period, verdicts: Verdicts, *values: int) -> Tally:
    tally = Tally(of.rule)
    for number, value in enumerate(values, 1):
        tally.add(Submission(number, value, (), number), None, verdicts.around(of.id, number))
    return tally


def items_of(of: Period, *numbers_and_values: tuple[int, int]) -> list[Item]:
    return [Item(of.id, "ada", number, value) for number, value in numbers_and_values]


def test_the_newest_verdict_decides_whatever_the_order_of_acts() -> None:
    of = period(Rule("best"))
    item = Item(of.id, "ada", 1, 5)
    for undoes, expected in ((False, (Verdict(1, 3), Verdict(2, None))), (True, (Verdict(2, None), Verdict(1, 3)))):
        verdicts = Verdicts(Verdict(2, None), [item], undoes=undoes)
        verdicts.add(of.id, 1, Verdict(1, 3))
        # Its own, as PostgreSQL has it in force.
        verdicts.add(of.id, 1, Verdict(2, None))
        assert verdicts.around(of.id, 1) == expected
        assert verdicts.around(of.id, 2) == verdicts.around(of.id + 1, 1) == (None, None)
    older = Verdicts(Verdict(2, None), [item], undoes=False)
    older.add(of.id, 1, Verdict(3, 4))
    assert older.around(of.id, 1) == (Verdict(3, 4), Verdict(3, 4))


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_a_run_that_is_void_gives_way(order: str) -> None:
    of = period(Rule("best", order))  # type: ignore[arg-type]
    items = items_of(of, (2, 9))
    verdicts = Verdicts(Verdict(1, None), items, undoes=False)
    row = fold(of.rule, [Submission(1, 5), Submission(3, 7)])
    found = find_next(of, None, tally_of(of, verdicts, 5, 9, 7), items, verdicts)
    if order == "desc":
        assert found == Next(Stored(turn(row.score, "desc"), row.reached, None, 0))
    else:
        assert found is None, "it was not the one that counts"


def test_a_sum_takes_the_difference_and_the_number_of_the_latest_that_counts() -> None:
    of = period(Rule())
    held = Stored(21, 4, None, 3)
    for numbers, expected in (
        ([(1, 5)], Stored(16, 4, None, 3)),
        ([(3, 7)], Stored(14, 2, None, 3)),
    ):
        items = items_of(of, *numbers)
        verdicts = Verdicts(Verdict(1, None), items, undoes=False)
        # A number above those of the ledger: concurrent batches of one player leave such a one.
        assert find_next(of, held, tally_of(of, verdicts, 5, 9, 7), items, verdicts) == Next(expected)
    items = items_of(of, (1, 5), (2, 9), (3, 7))
    verdicts = Verdicts(Verdict(1, None), items, undoes=False)
    assert find_next(of, held, tally_of(of, verdicts, 5, 9, 7), items, verdicts) == Next(None)
    gone = period(Rule(), is_complete=False)
    assert find_next(gone, held, tally_of(gone, verdicts, 5, 9, 7), items, verdicts) == Next(Stored(0, 4, None, 3))
    verdicts = Verdicts(Verdict(1, None), items, undoes=True)
    assert find_next(of, None, tally_of(of, verdicts, 5, 9, 7), items, verdicts) == Next(Stored(21, 3, None, 3))


def test_a_sum_stays_in_its_range() -> None:
    of = period(Rule())
    items = items_of(of, (1, 5))
    verdicts = Verdicts(Verdict(1, INT64_MAX), items, undoes=False)
    assert add_up(of, Stored(5, 1), items, verdicts) == (INT64_MAX, INT64_MAX - 5)
    with pytest.raises(SumOutOfRange):
        add_up(of, Stored(6, 1), items, verdicts)
