"""The boards of bench.scale: what the formula says is what sorting the rows says."""

from __future__ import annotations

import pytest

from bench.report.report import build_rows
from bench.rows import formula_board
from bench.rows.figures import Measure
from bench.rows.formula_board import FormulaBoard
from bench.tools.scale import Sizes, compare_with_small, list_rows

Row = tuple[int, str, int, int]
"""Period, user, score, reached."""


def rows(periods: list[int], board: FormulaBoard) -> list[Row]:
    """What is copied into PostgreSQL, read back."""
    text = b"".join(formula_board.copy_chunks(periods, board)).decode()
    found = []
    for line in text.splitlines():
        period, user, score, reached, submissions = line.split("\t")
        assert submissions == "1"
        found.append((int(period), user, int(score), int(reached)))
    return found


@pytest.mark.parametrize("players", [1, 2, 3, 10, 101, 1_000])
def test_ranks_and_scores_are_those_of_the_sorted_rows(players: int) -> None:
    board = FormulaBoard.of(players)
    ordered = sorted(rows([7], board), key=lambda row: (-row[2], row[3]))
    expected = [(rank, user, score) for rank, (_, user, score, _) in enumerate(ordered, 1)]
    assert board.entries(1, players) == expected
    assert board.entries(-4, players + 9) == expected, "a window ends where the board does"
    for rank, user, score in expected:
        number = int(user[1:]) - formula_board.FIRST
        assert (board.rank(number), board.score(number)) == (rank, score)


def test_every_season_has_the_same_board_and_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formula_board, "CHUNK", 4)
    found = rows([3, 5], FormulaBoard.of(5))
    assert [(user, score) for period, user, score, _ in found if period == 3] == [
        (user, score) for period, user, score, _ in found if period == 5
    ]
    assert [reached for *_, reached in found] == list(range(1, 11))
    assert all(len(user) == 10 for _, user, _, _ in found)


def test_a_wrong_answer_is_told_from_a_right_one() -> None:
    board = FormulaBoard.of(50)
    number = 7
    rank, score = board.rank(number), board.score(number)
    right = {"rank": rank, "userId": formula_board.user_id(number), "score": score}
    assert formula_board.check_answer("rank", board, number, 5, right) == ""
    assert formula_board.check_answer("rank", board, number, 5, right | {"rank": rank + 1})
    window = [{"rank": r, "userId": u, "score": s} for r, u, s in board.entries(rank - 2, rank + 2)]
    assert formula_board.check_answer("around", board, number, 2, {"items": window}) == ""
    assert formula_board.check_answer("around", board, number, 2, {"items": window[1:]})
    top = [{"userId": u, "score": s} for _, u, s in board.entries(1, 10)]
    assert formula_board.check_answer("top10", board, number, 5, {"items": top}) == ""
    assert formula_board.check_answer("top10", board, number, 5, {"items": [top[1], top[0], *top[2:]]})


def test_a_ratio_is_wrong_when_either_of_its_sides_is() -> None:
    good = Measure({"per_s": 50.0, "p99_ms": 2.0}, ("right",))
    bad = Measure({"per_s": 100.0, "p99_ms": 1.0}, (), ("a rank is wrong",))
    assert compare_with_small(good, Measure({"per_s": 100.0, "p99_ms": 1.0})).figures["of_small"] == 0.5
    found = compare_with_small(good, bad)
    assert found.faults == ("small board: a rank is wrong",) and not found.checks
    wanted = list_rows(Sizes(100, 10, 5, 10, 1))
    (line,) = build_rows(wanted, {"board_rank": [found]})
    assert not line.correct
