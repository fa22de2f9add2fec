"""Columns of submissions: in the order of the season's, and turned; others are found out."""

from __future__ import annotations

import msgspec
import pytest
from support.nobody import Nobody

from board.season import INT64_MAX, INT64_MIN
from service.submissions.columns import NO_OTHERS, ColumnMemory
from service.submissions.item import Extras, Item


def item(season: str = "s", **columns: int) -> Item:
    one = Item(season, "ada", 5, Nobody(), 0.0)
    one.extras = Extras(columns=tuple(sorted(columns.items())))
    return one


def memory(named: str | None) -> ColumnMemory:
    made = ColumnMemory()
    made.learn("s", named)
    return made


@pytest.mark.parametrize(
    ("named", "columns", "fitted"),
    [
        (">moves", {"moves": 3}, (">moves", 3, INT64_MIN, INT64_MIN)),
        ("<time>moves", {"moves": 3, "time": 4}, ("<time>moves", -5, 3, INT64_MIN)),
        ("<c>a<b", {"a": 1, "b": 2, "c": INT64_MAX}, ("<c>a<b", INT64_MIN, 1, -3)),
    ],
)
def test_columns_that_fit_have_the_order_of_the_season(
    named: str, columns: dict[str, int], fitted: tuple[str, int, int, int]
) -> None:
    kept = memory(named)
    assert kept.fit(item(**columns)) == fitted and kept.fits(item(**columns))


@pytest.mark.parametrize("columns", [{"time": 1}, {"moves": 1, "time": 2, "z": 3}, {"moves": 1, "z": 2}])
def test_other_columns_are_those_of_no_season(columns: dict[str, int]) -> None:
    kept = memory("<time>moves")
    assert kept.fit(item(**columns)) == (NO_OTHERS, INT64_MIN, INT64_MIN, INT64_MIN)
    assert not kept.fits(item(**columns))


def test_a_submission_without_columns_fits_a_season_without() -> None:
    assert memory(None).fit(item()) == memory(">a").fit(item()) == (None, INT64_MIN, INT64_MIN, INT64_MIN)
    assert memory(None).fits(item()) and ColumnMemory().fits(item())
    assert not memory(">a").fits(item()) and not memory(None).fits(item(a=1)) and not ColumnMemory().fits(item(a=1))


def test_a_misfit_names_the_columns_of_the_season() -> None:
    for kept, names in ((memory("<time>moves"), "time, moves"), (memory(None), "none"), (ColumnMemory(), "none")):
        answer = msgspec.json.decode(kept.make_misfit(item()).answer.body)
        assert answer["code"] == "invalid-columns" and answer["detail"].endswith(f"They are: {names}.")


def test_a_bounded_number_of_seasons_is_remembered() -> None:
    kept = ColumnMemory()
    for n in range(4_096):
        kept.learn(f"s{n}", ">a")
    assert all(kept.fits(item(f"s{n}", a=1)) for n in range(4_096))
    kept.learn("one more", ">a")
    assert kept.fits(item("one more", a=1))
    assert sum(kept.fits(item(f"s{n}", a=1)) for n in range(4_096)) == 0
