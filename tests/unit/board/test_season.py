"""The rule of a season against a naive model: every operator, order and ranking, at the ends of int64, with ties."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from _speedups import encode_entry
from board.errors import InvalidRule
from board.season import (
    COLUMNS_MOST,
    FOLD_BITS,
    INT64_MAX,
    INT64_MIN,
    OPERATORS,
    RANKINGS,
    RULED,
    Bounds,
    Change,
    Column,
    OutOfRange,
    Row,
    Rule,
    Submission,
    accept,
    count_columns,
    explain,
    fold,
    fold_of,
    is_within_bounds,
    label_of,
    make_row,
    mark_of,
    merge,
    number_of,
    order_of,
    parse_rule,
    place_of,
    rank_rows,
    sequence_of,
    turn,
)

EDGES: Final = (
    INT64_MIN,
    INT64_MIN + 1,
    -(2**53),
    -(2**52),
    -1,
    0,
    1,
    2**52,
    2**53,
    2**53 + 1,
    INT64_MAX - 1,
    INT64_MAX,
)
VALUES: Final = st.one_of(st.integers(-2, 2), st.sampled_from(EDGES), st.integers(INT64_MIN, INT64_MAX))
ORDERS: Final = st.sampled_from(("desc", "asc"))


@st.composite
def rules(draw: st.DrawFn, operators: tuple[str, ...] = tuple(OPERATORS)) -> Rule:
    columns = [{"name": f"c{n}", "order": draw(ORDERS)} for n in range(draw(st.integers(0, COLUMNS_MOST)))]
    ranking = draw(st.sampled_from(("ordinal", "competition")))
    operator = draw(st.sampled_from(operators))
    return parse_rule({"operator": operator, "order": draw(ORDERS), "columns": columns, "ranking": ranking})


@st.composite
def histories(draw: st.DrawFn) -> tuple[Rule, list[Submission]]:
    """A rule, and submissions of one player in the order of their numbers. Few values, so that many are equal."""
    rule = draw(rules())
    one = st.tuples(VALUES, st.tuples(*(st.sampled_from((-1, 0, INT64_MIN, INT64_MAX)) for _ in rule.columns)))
    values = draw(st.lists(one, min_size=1, max_size=12))
    numbers = sorted(draw(st.sets(st.integers(1, 10**6), min_size=len(values), max_size=len(values))))
    return rule, [Submission(n, value, columns) for n, (value, columns) in zip(numbers, values, strict=True)]


def is_ahead(rule: Rule, mine: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """The model of comparing: number by number, each in its own direction."""
    for a, b, order in zip(mine, other, [rule.order, *(c.order for c in rule.columns)], strict=True):
        if a != b:
            return a > b if order == "desc" else a < b
    return False


def model(rule: Rule, history: list[Submission]) -> Row:
    """The model of folding: it walks the submissions in the order of their numbers."""
    best = history[0]
    for one in history[1:]:
        if rule.operator != "best" or is_ahead(rule, (one.value, *one.columns), (best.value, *best.columns)):
            best = one
    score = sum(one.value for one in history) if rule.operator == "sum" else best.value
    return Row(score, best.number, best.columns)


@given(histories(), st.randoms(use_true_random=False))
def test_a_row_is_a_function_of_the_set_of_its_submissions(case: tuple[Rule, list[Submission]], rng: Any) -> None:
    """Whatever the order, and whatever the batches."""
    rule, history = case
    wanted = model(rule, history)
    assume(INT64_MIN <= wanted.score <= INT64_MAX)
    shuffled = rng.sample(history, len(history))
    assert fold(rule, shuffled) == wanted
    batches: list[list[Submission]] = [[]]
    for one in shuffled:
        if batches[-1] and rng.random() < 0.4:
            batches.append([])
        batches[-1].append(one)
    parts = []
    for batch in batches:
        part = make_row(batch[0])
        for one in batch[1:]:
            part = merge(rule, part, make_row(one))
        parts.append(part)
    whole = parts.pop(rng.randrange(len(parts)))
    for part in rng.sample(parts, len(parts)):
        whole = merge(rule, part, whole)
    assert whole == wanted


@given(histories())
def test_each_submission_in_turn_gives_the_same_row(case: tuple[Rule, list[Submission]]) -> None:
    """What is refused leaves the row alone; `previous` and `improved` tell what each one did."""
    rule, history = case
    row: Row | None = None
    counted: list[Submission] = []
    for one in history:
        try:
            change = accept(rule, row, one)
        except OutOfRange:
            assert row is not None and rule.operator == "sum"
            assert not INT64_MIN <= row.score + one.value <= INT64_MAX
            continue
        counted.append(one)
        before, row = row, change.row
        assert row == model(rule, counted)
        if before is None:
            assert change == Change(make_row(one), None, True)
        else:
            assert change.previous == before.score
            assert change.improved == is_ahead(rule, (row.score, *row.columns), (before.score, *before.columns))
            assert row == before or row.reached > before.reached, "the number rises with each change"


@given(rules(), st.lists(st.tuples(VALUES, st.integers(1, 5)), min_size=1, max_size=40))
def test_the_board_is_ordered_and_ranked_as_the_model_does(rule: Rule, values: list[tuple[int, int]]) -> None:
    columns = (0,) * len(rule.columns)
    rows = {f"p{n}": Row(value, reached, columns) for n, (value, reached) in enumerate(values)}

    def order(a: tuple[str, Row], b: tuple[str, Row]) -> int:
        if a[1].score != b[1].score:
            return -1 if is_ahead(rule, (a[1].score, *columns), (b[1].score, *columns)) else 1
        return -1 if (a[1].reached, a[0].encode()) < (b[1].reached, b[0].encode()) else 1

    wanted = sorted(rows.items(), key=cmp_to_key(order))
    board = rank_rows(rule, rows)
    assert [(user, row) for _, user, row in board] == wanted
    for place, (rank, _, row) in enumerate(board):
        ahead = sum(is_ahead(rule, (other.score, *columns), (row.score, *columns)) for other in rows.values())
        assert rank == (place if rule.ranking == "ordinal" else ahead) + 1


def test_thousands_of_equal_rows_share_a_rank_or_stand_in_the_order_in_which_they_were_reached() -> None:
    rows = {f"p{n}": Row(7 if n else 8, 5_000 - n) for n in range(4_000)}
    ranks = [rank for rank, _, _ in rank_rows(Rule(ranking="competition"), rows)]
    assert ranks == [1] + [2] * 3_999
    board = rank_rows(Rule(order="asc"), rows)
    assert [rank for rank, _, _ in board] == list(range(1, 4_001))
    assert [user for _, user, _ in board] == [f"p{n}" for n in range(3_999, -1, -1)]


@given(rules(), st.lists(st.tuples(VALUES, st.integers(1, 5)), min_size=1, max_size=20))
def test_turned_numbers_stand_in_redis_in_the_order_of_the_rule(rule: Rule, values: list[tuple[int, int]]) -> None:
    """The board's format knows one order only, the highest first."""
    plain = Rule(order=rule.order)
    rows = {f"p{n}": Row(value, reached) for n, (value, reached) in enumerate(values)}
    entries = []
    for user, row in rows.items():
        zscore, prefix = encode_entry(turn(row.score, rule.order), row.reached)
        entries.append((zscore, prefix + user.encode(), user))
    assert [user for _, _, user in sorted(entries)] == [user for _, user, _ in rank_rows(plain, rows)]


@given(VALUES, VALUES)
def test_turning_reverses_the_order_of_all_int64_exactly(a: int, b: int) -> None:
    assert turn(turn(a, "asc"), "asc") == turn(a, "desc") == a
    assert INT64_MIN <= turn(a, "asc") <= INT64_MAX
    assert (turn(a, "asc") < turn(b, "asc")) == (a > b)


def test_a_period_tells_the_order_of_its_rows() -> None:
    folds = {}
    for operator in OPERATORS:
        for order in ("desc", "asc"):
            rule = parse_rule({"operator": operator, "order": order})
            fold = folds[operator, order] = fold_of(rule)
            assert order_of((fold << FOLD_BITS) + 123) == order
            assert ((fold << FOLD_BITS) + 2**FOLD_BITS - 1).bit_length() < 64, "it is an int8 of PostgreSQL"
    assert folds.pop(("sum", "desc")) == 0, "plain seasons keep their numbers"
    assert len(set(folds.values())) == 5 and min(folds.values()) > RULED


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"operator": "max"}, "operator"),
        ({"order": "up"}, "order"),
        ({"ranking": "dense"}, "ranking"),
        ({"bounds": {"min": 2, "max": 1}}, "bounds"),
        ({"bounds": {"min": INT64_MIN - 1}}, "min"),
        ({"bounds": {"max": INT64_MAX + 1}}, "max"),
        ({"bounds": {"least": 1}}, "least"),
        ({"bounds": {"min": 1.5}}, "min"),
        ({"columns": [{"name": "a"}, {"name": "a"}]}, "columns"),
        ({"columns": [{"name": f"c{n}"} for n in range(4)]}, "columns"),
        ({"columns": [{"name": ""}]}, "columns"),
        ({"columns": [{"name": "a b"}]}, "columns"),
        ({"columns": [{"name": "a", "order": "up"}]}, "order"),
        ({"columns": [{"name": "a", "least": 1}]}, "least"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_the_member(members: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRule, match=named):
        parse_rule(members)


def test_the_defaults_are_the_original_contract() -> None:
    assert parse_rule({}) == Rule() == Rule(operator="sum", order="desc", columns=(), ranking="ordinal")
    assert is_within_bounds(Rule(), INT64_MIN) and is_within_bounds(Rule(), INT64_MAX)
    bounded = parse_rule({"bounds": {"min": 0, "max": 9}})
    assert [is_within_bounds(bounded, n) for n in (-1, 0, 9, 10)] == [False, True, True, False]


def test_a_rule_is_explained_in_plain_english() -> None:
    assert explain(Rule()) == (
        "The sum of all deltas counts, the highest first. Of equal rows the one that was reached first is ahead."
    )
    lap = {"operator": "best", "order": "asc", "columns": [{"name": "stars"}], "ranking": "competition"}
    assert explain(parse_rule(lap | {"bounds": {"min": 1}})) == (
        "The best run counts, the lowest score first. Then stars decides, the highest first. "
        "Equal rows share a rank. A submission is from 1 to 9223372036854775807."
    )


def test_the_latest_run_is_that_of_the_latest_time_and_of_equal_times_the_last_that_came() -> None:
    last = Rule(operator="last")
    early, late, again = Row(1, 9, at=5), Row(2, 8, at=6), Row(3, 10, at=6)
    for first, second, kept in ((early, late, late), (late, again, again), (early, again, again)):
        assert merge(last, first, second) == merge(last, second, first) == kept
    assert accept(last, late, Submission(9, 1, at=5)) == Change(late, 2, False)


def test_a_sum_has_the_columns_and_the_time_of_its_last_submission() -> None:
    first, second = Row(1, 8, (3,), 7), Row(2, 9, (4,), 6)
    summed = Row(3, 9, (4,), 6)
    rule = Rule(columns=(Column("time"),))
    assert merge(rule, first, second) == merge(rule, second, first) == summed
    assert make_row(Submission(8, 1, (3,), 7)) == first


def test_a_sum_reaches_the_ends_of_int64_and_no_further() -> None:
    for end, step in ((INT64_MAX, 1), (INT64_MIN, -1)):
        row = make_row(Submission(1, end - step))
        assert accept(Rule(), row, Submission(2, step)).row.score == end
        with pytest.raises(OutOfRange, match="64 bits"):
            accept(Rule(), row, Submission(2, 2 * step))


def test_equal_rows_are_ordered_by_when_they_were_reached_and_then_by_the_bytes_of_the_id() -> None:
    rule = Rule(columns=(Column("time", "asc"),))
    rows = {
        "\u00e4": Row(5, 7, (1,)),
        "z": Row(5, 7, (1,)),
        "a": Row(5, 8, (1,)),
        "b": Row(5, 1, (2,)),
        "c": Row(6, 9, (9,)),
    }
    assert sorted(rows, key=lambda user: place_of(rule, user, rows[user])) == ["c", "z", "\u00e4", "a", "b"]


def test_rows_with_other_columns_share_no_rank() -> None:
    rule = Rule(columns=(Column("time", "asc"),), ranking="competition")
    rows = {"a": Row(5, 1, (1,)), "b": Row(5, 2, (1,)), "c": Row(5, 3, (2,)), "d": Row(4, 4, (2,))}
    assert [(rank, user) for rank, user, _ in rank_rows(rule, rows)] == [(1, "a"), (1, "b"), (3, "c"), (4, "d")]


@pytest.mark.parametrize(
    ("rule", "fold"),
    [
        (Rule(), 0),
        (Rule(ranking="competition", bounds=Bounds(0, 9)), 0),
        (Rule(order="asc"), 65),
        (Rule(operator="best"), 66),
        (Rule(operator="best", order="asc"), 67),
        (Rule(operator="last"), 68),
        (Rule(operator="last", order="asc"), 69),
        (Rule(columns=(Column("a"),)), 72),
        (Rule("last", "asc", (Column("a"), Column("b"), Column("c"))), 93),
    ],
)
def test_the_folds_of_kept_periods_never_change(rule: Rule, fold: int) -> None:
    """They are in PostgreSQL and in Redis, where SQL and scripts read them."""
    assert fold_of(rule) == fold
    period = (fold << 56) + 2**56 - 1
    assert sequence_of(period) == 2**56 - 1 and sequence_of((fold << 56) + 1) == 1
    assert count_columns(period) == len(rule.columns) and order_of(period) == rule.order


def test_a_mark_ends_with_the_columns_and_with_whether_ranks_are_shared() -> None:
    ordinal, shared = RANKINGS["ordinal"], RANKINGS["competition"]
    assert (ordinal, shared) == (0, 1)
    assert mark_of(ordinal, None) == b"" and mark_of(shared, None) == b".c"
    assert mark_of(ordinal, "<time>moves") == b"<time>moves" and mark_of(shared, "<time") == b"<time.c"
    assert mark_of(ordinal, None, 12) == b".p12" and mark_of(shared, "<time", 1) == b"<time.p1.c"
    for label in (b"", b".c", b"<time>moves", b"<time.c", b".p12", b".p1.c", b"<time>moves.p12", b"<time.p1.c"):
        assert label_of(b"12.a1" + label) == label_of(label) == label
        assert number_of(b"12.a1" + label) == (12 if b"12" in label else 1 if b"p1" in label else 0)


@pytest.mark.parametrize(
    ("name", "good"), [("a", True), ("_1", True), ("a" * 32, True), ("a" * 33, False), ("1a", False)]
)
def test_a_column_has_a_name(name: str, good: bool) -> None:
    try:
        parse_rule({"columns": [{"name": name}]})
    except InvalidRule:
        assert not good
    else:
        assert good


def test_a_name_has_no_line_end_and_three_columns_are_not_too_many() -> None:
    with pytest.raises(InvalidRule):
        parse_rule({"columns": [{"name": "a\n"}]})
    assert len(parse_rule({"columns": [{"name": name} for name in "abc"]}).columns) == COLUMNS_MOST == 3


def test_bounds_may_be_one_number() -> None:
    rule = parse_rule({"bounds": {"min": 5, "max": 5}})
    assert [is_within_bounds(rule, value) for value in (4, 5, 6)] == [False, True, False]
    assert explain(parse_rule({"operator": "last", "columns": [{"name": "t", "order": "asc"}]})).startswith(
        "The latest run counts, the highest score first. Then t decides, the lowest first."
    )


@pytest.mark.parametrize(
    ("value", "member"),
    [
        (Rule(), "order"),
        (Column("a"), "order"),
        (Submission(1, 2), "number"),
        (Row(1, 2), "score"),
        (Change(Row(1, 2), None, True), "row"),
    ],
)
def test_rules_and_rows_never_change(value: Any, member: str) -> None:
    """They are keys of caches, and one may be part of several others."""
    with pytest.raises(AttributeError):
        setattr(value, member, getattr(value, member))
