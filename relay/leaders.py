"""Leaders: the first player of each board, and the event of each change.

The scripts that write boards tell who is first on each. The take, or the list of a rebuild, has told who led when the
last event was written. Where the two differ, the change is written in the transaction of the batch, under its claim. So
a relay that dies between the script and its commit loses no change, and none is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from _speedups import pack_int8_array, pack_text_array
from board.columns import measure_prefix, split_member
from board.periods import find_history
from board.pg.arrays import Int8Array, TextArray
from board.pg.steps import run_steps
from board.season import count_columns, order_of, turn
from relay.session import RelaySession

First = tuple[bytes, bytes]
"""The first entry of a board as a script returns it: member and zscore, both empty for an empty board."""


class Leader(msgspec.Struct, frozen=True):
    """The first player of a board, with the score as it was submitted; `user` is None for an empty board."""

    season: str
    period: int
    user: str | None
    score: int


def list_firsts(values: Sequence[bytes]) -> list[First | None]:
    """Pairs of the values that a script returns after its verdict."""
    return [*zip(values[::2], values[1::2], strict=True)]


def find_changes(rows: Iterable[Any], firsts: Iterable[First | None]) -> list[Leader]:
    """The boards with another leader than the last event told. `rows` have `season_id`, `period_id` and `leader`.

    A board without an answer (None), and one whose first entry nobody can read, are left out: they will be rebuilt.
    """
    found = []
    for row, first in zip(rows, firsts, strict=True):
        # PERF: for most boards of most batches this comparison is all.
        if first is None or first[0][measure_prefix(count_columns(row.period_id)) :] == (row.leader or "").encode():
            continue
        leader = read_leader(row.season_id, row.period_id, first)
        if leader is not None:
            found.append(leader)
    return found


def read_leader(season: str, period: int, first: First) -> Leader | None:
    """The leader of a first entry; None for an entry that no relay has written."""
    member, zscore = first
    if not member:
        return Leader(season, period, None, 0)
    try:
        entry = split_member(member, count_columns(period))
        score, user = entry.read_score(int(float(zscore))), entry.user.decode()
    except (ValueError, OverflowError):
        return None
    return Leader(season, period, user, turn(score, order_of(period))) if user else None


def write_changes(session: RelaySession, changes: list[Leader]) -> None:
    """Write new leaders with their events, in the transaction of the batch that brought them."""
    session.execute(
        "change_leaders",
        seasons=TextArray(pack_text_array([leader.season for leader in changes])),
        periods=Int8Array(pack_int8_array([leader.period for leader in changes])),
        users=TextArray(pack_text_array([leader.user for leader in changes])),
        scores=Int8Array(pack_int8_array([leader.score for leader in changes])),
        history=run_steps(session.db, find_history()),
    )


def leave_hints(session: RelaySession, partition: int, changes: list[Leader]) -> None:
    """After a rebuild, in its transaction: let the next batch find new leaders.

    A rebuild keeps the snapshot of its beginning. In a season that was turned meanwhile it could write nothing.
    """
    periods = Int8Array(pack_int8_array([leader.period for leader in changes]))
    session.execute("hint_leaders", partition=partition, periods=periods)
