"""Columns of submissions, made fit for the statement by rule.

A worker remembers the columns of seasons, which saves a round trip. It decides nothing: the statement compares, and
tells the season's columns where a submission has others.
"""

from __future__ import annotations

from typing import Final

from board.columns import read_columns
from board.season import INT64_MIN, Column, turn
from service.contract.problems import Rejected
from service.submissions.item import Item
from service.submissions.problems import INVALID_COLUMNS

NO_OTHERS: Final = "?"
"""Names that no season has: those of a submission that does not fit the columns that are remembered."""
REMEMBERED_MOST: Final = 4_096
"""Seasons whose columns are remembered."""

Fitted = tuple[str | None, int, int, int]
"""The names of a submission's columns as the season has them, and three values, turned; missing ones are the least."""
_NONE: Final[Fitted] = (None, INT64_MIN, INT64_MIN, INT64_MIN)


class ColumnsMisfit(Rejected):
    """The submission has other columns than the season; nothing was written."""

    code = "invalid-columns"


class ColumnMemory:
    """The columns of seasons, as the statements of one intake have found them."""

    def __init__(self) -> None:
        self._named: Final[dict[str, str | None]] = {}

    def learn(self, season: str, named: str | None) -> None:
        """Remember the columns of a season (`board.columns.sign_columns`)."""
        if len(self._named) >= REMEMBERED_MOST:
            self._named.clear()
        self._named[season] = named

    def fit(self, item: Item) -> Fitted:
        """The submission's columns in the order of the season's."""
        given = item.extras.columns
        if not given:
            return _NONE
        named = self._named.get(item.season)
        columns = read_columns(named)
        values = dict(given)
        if len(columns) != len(values) or any(column.name not in values for column in columns):
            return NO_OTHERS, *_NONE[1:]
        turned = [turn(values[column.name], column.order) for column in columns]
        first, second, third = (turned + [INT64_MIN] * 2)[:3]
        return named, first, second, third

    def fits(self, item: Item) -> bool:
        """Whether the submission has the columns that are remembered."""
        return self.fit(item)[0] == self._named.get(item.season)

    def make_misfit(self, item: Item) -> ColumnsMisfit:
        """The refusal of a submission that does not fit."""
        return make_misfit(read_columns(self._named.get(item.season)))


def make_misfit(columns: tuple[Column, ...]) -> ColumnsMisfit:
    """The refusal of a submission to a season with these columns."""
    names = ", ".join(column.name for column in columns) or "none"
    return ColumnsMisfit(INVALID_COLUMNS.with_detail(f"{INVALID_COLUMNS.title} They are: {names}."))
