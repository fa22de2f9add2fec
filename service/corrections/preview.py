"""What a correction would do to the ranks of its players. Nothing is written."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, Final

from board.correction_steps import (
    Act,
    Steps,
    check_history,
    check_width,
    first_day,
    gather,
    list_parts,
    make_tallies,
    read_rows,
)
from board.corrections import (
    Period,
    Stored,
    find_next,
)
from service.corrections.types import RankChange

SHOWN_MOST: Final = 100

Key = tuple[int, bytes, int, bytes]
"""What rows are compared by: ascending order is that of the board."""


def preview_ranks(act: Act) -> Steps:
    """The ranks of players before and after (`RankChange`), up to 100, without those whom boards do not show.

    Raises as `board.corrections` does.
    """
    items = [item for found in act.items.values() for item in found]
    check_history(act.season, items)
    users = act.users()
    parts = yield from list_parts(first_day(act))
    check_width(parts)
    tallies = make_tallies(act)
    held: dict[int, dict[str, Stored]] = {}
    for number in users:
        held[number] = yield from read_rows(act, number, users[number])
    yield from gather(act, tallies, users, parts)
    changes: list[RankChange] = []
    for period_id in sorted(users, reverse=True):
        period = act.season.periods[period_id]
        rows = yield "hidden_players", {"period": period_id, "users": users[period_id]}
        hidden = {user for (user,) in rows}
        before = {user: row for user, row in held[period_id].items() if user not in hidden}
        after = {}
        for user in users[period_id]:
            if user in hidden:
                continue
            row, place = held[period_id].get(user), (period_id, user)
            following = find_next(period, row, tallies[place], act.items[place], act.verdicts)
            after[user] = row if following is None else following.row
        found = yield from _compare(act, period, before, after, SHOWN_MOST - len(changes))
        changes += found
    return changes


def _compare(
    act: Act,
    period: Period,
    before: Mapping[str, Stored],
    after: Mapping[str, Stored | None],
    most: int,
) -> Steps:
    """The ranks of the first `most` players of a period, by their rows before, then after."""
    was = {user: key_of(user, row) for user, row in before.items()}
    now = {user: key_of(user, row) for user, row in after.items() if row is not None}
    shown = sorted({*was, *now}, key=lambda user: was[user] if user in was else now[user])[:most]
    edges = [(user, rows[user]) for rows in (before, after) for user in shown if rows.get(user) is not None]
    if not edges:
        return []
    asked: dict[str, Any] = {
        "period": period.id, "is_final": period.is_final, "users": [user for user, _ in edges],
        "scores": [row.score for _, row in edges if row is not None],
        "columns": [row.columns for _, row in edges if row is not None],
        "reached": [row.reached for _, row in edges if row is not None],
    }  # fmt: skip
    places = yield "places_among_rows", asked
    ahead = {edge: place[not act.season.is_shared] for edge, place in zip(_keys(edges), places, strict=True)}
    old, new = (
        _Order(was.values(), is_shared=act.season.is_shared),
        _Order(now.values(), is_shared=act.season.is_shared),
    )
    return [
        RankChange(
            user,
            period.number,
            1 + ahead[was[user]] if user in was else None,
            # The board is the one before, without these players' old rows, and with their new ones.
            1 + ahead[now[user]] - old.before(now[user]) + new.before(now[user]) if user in now else None,
        )
        for user in shown
    ]


def _keys(edges: Iterable[tuple[str, Stored | None]]) -> list[Key]:
    return [key_of(user, row) for user, row in edges if row is not None]


def key_of(user: str, row: Stored) -> Key:
    """The place of a row. Packed columns are the better the greater their bytes are."""
    return -row.score, bytes(255 - byte for byte in row.columns or b""), row.reached, user.encode()


class _Order:
    """Rows in their order. Where equal ones share a rank, only better ones are before a row."""

    def __init__(self, keys: Iterable[Key], *, is_shared: bool) -> None:
        self._is_shared: Final = is_shared
        self._keys: Final = sorted(self._cut(key) for key in keys)

    def before(self, key: Key) -> int:
        """How many are before a row."""
        return bisect_left(self._keys, self._cut(key))

    def _cut(self, key: Key) -> tuple[Any, ...]:
        return key[:2] if self._is_shared else key
