"""Ranks that equal rows share. Scripts tell that of the first entry of a list; the others follow from the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from _speedups import render_items
from board.columns import measure_run, strip_columns
from service.boards.calls import BoardState

_encode: Final = msgspec.json.Encoder().encode


def percentile_of(rank: int, total: int) -> float:
    """The share of players at or below a rank, from 0, in percent: two decimals, rounded down.

    So only the first rank has 100, and no player has less than the percentile that is shown.
    """
    return 10_000 * (total - rank) // total / 100


def split_rank(entries: list[Any], place: int, state: BoardState) -> tuple[list[bytes], int]:
    """The entries of a reply, and the rank of the first one, from 0; `place` is its place on the board."""
    if not state.shares or not entries:
        return entries, place
    *entries, rank = entries
    return entries, rank


def rank_at(entries: Sequence[bytes], at: int, place: int, rank: int, state: BoardState) -> int:
    """The rank of the entry `at`, from 0. The first one has this place and rank."""
    if not state.shares:
        return place + at
    first = at
    while first and are_equal(entries, first - 1, first, state):
        first -= 1
    return place + first if first else rank


def are_equal(entries: Sequence[bytes], one: int, other: int, state: BoardState) -> bool:
    """Whether two entries have the same score and columns: their zscores, and the first bytes of their members."""
    common = measure_run(len(state.columns))
    return entries[2 * one + 1] == entries[2 * other + 1] and entries[2 * one][:common] == entries[2 * other][:common]


def render_board(entries: Sequence[bytes], rank: int, place: int, state: BoardState) -> bytes:
    """The JSON list of a window of the board (`render_items`), with the scores as they were submitted.

    `rank` and `place` are those of the first entry, from 0. Raises an error of `UNREADABLE`.
    """
    if state.columns:
        return _render_runs(entries, rank, place, state)
    if state.order == "desc" and not state.shares:
        return render_items(entries, place + 1)
    return render_items(entries, place + 1, state.order == "asc", rank + 1 if state.shares else 0)


def _render_runs(entries: Sequence[bytes], rank: int, place: int, state: BoardState) -> bytes:
    """As `render_board`, of a board whose rows have columns."""
    stripped = strip_columns(entries[::2], state.columns)
    bare: list[bytes] = [*entries]
    bare[::2] = [member for member, _ in stripped]
    items = msgspec.json.decode(render_items(bare, place + 1, state.order == "asc", 0))
    for at, (item, (_, columns)) in enumerate(zip(items, stripped, strict=True)):
        item["columns"] = columns
        if state.shares:
            before = items[at - 1]
            if at and (item["score"], columns) != (before["score"], before["columns"]):
                rank = place + at
            item["rank"] = rank + 1
    return _encode(items)
