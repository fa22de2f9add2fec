"""Ranks that equal rows share. Scripts tell that of the first entry of a list; the others follow from the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from _speedups import render_items
from service.boards.calls import BoardState


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
    while first and have_one_score(entries, first - 1, first):
        first -= 1
    return place + first if first else rank


def have_one_score(entries: Sequence[bytes], one: int, other: int) -> bool:
    """Whether two entries have the same score: their zscores, and the first bytes of their members."""
    return entries[2 * one + 1] == entries[2 * other + 1] and entries[2 * one][:2] == entries[2 * other][:2]


def render_board(entries: Sequence[bytes], rank: int, place: int, state: BoardState) -> bytes:
    """The JSON list of a window of the board (`render_items`), with the scores as they were submitted.

    `rank` and `place` are those of the first entry, from 0. Raises an error of `UNREADABLE`.
    """
    if state.order == "desc" and not state.shares:
        return render_items(entries, place + 1)
    return render_items(entries, place + 1, state.order == "asc", rank + 1 if state.shares else 0)
